/* A FastCGI program, by fcgi_stdio.h: it starts once and answers one request after another, so what
 * it keeps lives on. As many instances run as there are requests at once; each counts its own. */
#include <fcgi_stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void) {
  const time_t started = time(NULL);
  unsigned long answered = 0;
  while (FCGI_Accept() >= 0) {
    const char *address = getenv("REMOTE_ADDR");
    answered++;
    printf("Content-Type: text/plain; charset=utf-8\r\n\r\n");
    printf("Request %lu of this instance, which runs for %ld s in process %d.\n", answered,
           (long)(time(NULL) - started), (int)getpid());
    printf("You are %s.\n", address != NULL ? address : "nobody knows who");
  }
  return 0; /* the server drains, or needs fewer instances */
}
