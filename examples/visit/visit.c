/* A CGI program as it has always been written. Build it and serve it:
 *   cogi cc visit.c -o site/visit.cgi && cogi serve site */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int visits; /* 1 in every answer: each request starts afresh */

int main(void) {
  const char *name = getenv("QUERY_STRING");
  visits++;
  usleep(100 * 1000); /* ask a database, say: the other requests go on */
  printf("Content-Type: text/plain\r\n\r\n");
  printf("Hello, %s!\n", name != NULL && *name != '\0' ? name : "stranger");
  printf("You are visitor number %d of process %d.\n", visits, (int)getpid());
  return 0;
}
