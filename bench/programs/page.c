/* A small page, as a CGI program prints it. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  const char *query = getenv("QUERY_STRING");
  printf("Content-Type: text/html\r\n\r\n");
  printf("<!doctype html><title>Page</title>\n<p>Asked for %s</p>\n", query != NULL ? query : "");
  return 0;
}
