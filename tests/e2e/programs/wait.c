/* Sleeps ?ms=N milliseconds and tells which process it ran in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char *query = getenv("QUERY_STRING");
  long wait = query != NULL && strncmp(query, "ms=", 3) == 0 ? strtol(query + 3, NULL, 10) : 0;
  if (wait > 0) usleep((useconds_t)wait * 1000);
  printf("Content-Type: text/plain\r\n\r\n%d\n", (int)getpid());
  return 0;
}
