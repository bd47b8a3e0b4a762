/* What each form of program is asked in front of every front end (tests/MATRIX.md). By PATH_INFO:
 * /echo sends the body back; /environment shows the variables; /lines?FOLDER prints five lines,
 * each of which is flushed and followed by a wait until FOLDER/NUMBER exists, so that whoever gets
 * a line only with a later one gets no further; anything else prints without an end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value != NULL ? value : "";
}

static int echo(void) {
  char buffer[8192];
  size_t got;
  printf("Content-Type: application/octet-stream\r\n\r\n");
  while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0)
    if (fwrite(buffer, 1, got, stdout) != got) return 1;
  return 0;
}

static int environment(void) {
  printf("Content-Type: text/plain\r\n\r\n");
  for (char **each = environ; *each != NULL; each++) printf("%s\n", *each);
  return 0;
}

static int lines(const char *folder) {
  printf("Content-Type: text/plain\r\n\r\n");
  for (int number = 1; number <= 5; number++) {
    char path[512];
    printf("%d of 5\n", number);
    if (fflush(stdout) != 0) return 1;
    snprintf(path, sizeof path, "%s/%d", folder, number);
    for (int waits = 0; access(path, F_OK) != 0 && waits < 2000; waits++) usleep(5000);
  }
  return 0;
}

static int endless(void) {
  char piece[8192];
  memset(piece, 'y', sizeof piece);
  printf("Content-Type: application/octet-stream\r\n\r\n");
  while (fwrite(piece, 1, sizeof piece, stdout) == sizeof piece) continue;
  return 0;
}

int main(void) {
  const char *page = variable("PATH_INFO");
  if (strcmp(page, "/echo") == 0) return echo();
  if (strcmp(page, "/environment") == 0) return environment();
  if (strcmp(page, "/lines") == 0) return lines(variable("QUERY_STRING"));
  return endless();
}
