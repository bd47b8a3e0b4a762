/* Static counters, setenv(), exit() in the middle and atexit(): each answer must be that of a
 * process that has just started. Query: n=NUMBER&mode=return|exit|bye&wait=MILLISECONDS; the wait
 * lets other requests run in between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int visits;
static int initialised = 42;
static char seen[64];
static const char *note = "none";

static long parameter(const char *name) {
  const char *query = getenv("QUERY_STRING");
  const char *at = query != NULL ? strstr(query, name) : NULL;
  return at != NULL ? strtol(at + strlen(name), NULL, 10) : 0;
}

static void say_goodbye(void) { printf("bye %s visits=%d note=%s\n", seen, visits, note); }

static void pass_time(void) {
  long wait = parameter("wait=");
  if (wait > 0) usleep((useconds_t)wait * 1000);
}

int main(int argc, char **argv) {
  char number[32];
  const char *query = getenv("QUERY_STRING") != NULL ? getenv("QUERY_STRING") : "";
  snprintf(number, sizeof number, "%ld", parameter("n="));
  atexit(say_goodbye);
  printf("Content-Type: text/plain\n\n");
  printf("argc=%d argv0=%s initialised=%d visits=%d seen='%s' note=%s mine=%s\n", argc,
         argv[0] != NULL ? "set" : "null", initialised, visits, seen, note,
         getenv("COUNTERS_MINE") != NULL ? "there" : "not there");
  visits++;
  initialised += 1;
  strcpy(seen, number);
  note = "mine";
  setenv("COUNTERS_MINE", number, 1);
  pass_time();
  printf("visits=%d initialised=%d seen=%s mine=%s\n", visits, initialised, seen,
         getenv("COUNTERS_MINE"));
  if (strstr(query, "mode=exit") != NULL) exit(3);
  pass_time();
  setenv("COUNTERS_MINE", "changed", 1);
  printf("mine=%s\n", getenv("COUNTERS_MINE"));
  if (strstr(query, "mode=bye") != NULL) {
    fflush(stdout);
    _exit(0); /* no atexit */
  }
  return 0;
}
