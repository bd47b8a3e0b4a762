/* The smallest CGI program: a header, an empty line, a page. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  const char *who = getenv("REMOTE_ADDR");
  printf("Content-Type: text/plain; charset=utf-8\r\n\r\n");
  printf("Hello, %s!\n", who != NULL ? who : "world");
  return 0;
}
