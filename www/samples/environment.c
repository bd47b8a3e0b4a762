/* Every variable that the program was given: the request's meta-variables (RFC 3875) and the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void) {
  size_t count = 0;
  while (environ[count] != NULL) count++;
  qsort(environ, count, sizeof *environ, by_name);
  printf("Content-Type: text/plain; charset=utf-8\r\n\r\n");
  for (size_t i = 0; i < count; i++) puts(environ[i]);
  return 0;
}
