// The peer of bench/web.py: what Go's own net/http makes of "hello".
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/hello", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "text/plain")
		answer.Write([]byte("hello\n"))
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
