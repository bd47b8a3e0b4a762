/* Counts from one to five and sleeps in between, with usleep(3), as if nobody else were there.
 * A thousand of these at once are one process. ?ms=N sleeps N milliseconds instead of 300. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char *query = getenv("QUERY_STRING");
  long pause = 300;
  if (query != NULL && strncmp(query, "ms=", 3) == 0) pause = strtol(query + 3, NULL, 10);
  if (pause < 0 || pause > 5000) pause = 5000;
  printf(
      "Content-Type: text/plain; charset=utf-8\r\n"
      "X-Accel-Buffering: no\r\n\r\n"); /* nginx: pass each line on at once */
  for (int i = 1; i <= 5; i++) {
    printf("%d of 5\n", i);
    fflush(stdout);
    if (i < 5) usleep((useconds_t)pause * 1000);
  }
  return 0;
}
