/* A function of its own named getline, as the old textbooks have it, beside libc's of that name.
 * Reads lines from the body. Built with -std=c11, where <stdio.h> leaves the name to the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int usleep(unsigned microseconds);
char *getenv(const char *name);

static int lines;
char longest[256]; /* not static: other modules have a symbol of this name */

int getline(char line[], int limit) {
  int c, i;
  for (i = 0; i < limit - 1 && (c = getchar()) != EOF && c != '\n'; i++) line[i] = (char)c;
  line[i] = '\0';
  return c == EOF && i == 0 ? -1 : i;
}

int main(void) {
  char line[256];
  int length, wait = 0;
  const char *query = getenv("QUERY_STRING");
  const char *at = query != NULL ? strstr(query, "wait=") : NULL;
  if (at != NULL) wait = atoi(at + 5);
  printf("Content-Type: text/plain\n\nlines=%d longest='%s'\n", lines, longest);
  while ((length = getline(line, sizeof line)) >= 0) {
    lines++;
    if (length > (int)strlen(longest)) strcpy(longest, line);
    if (wait > 0 && lines % 4 == 0) usleep((unsigned)wait * 1000);
    printf("%d: %s\n", lines, line);
  }
  printf("lines=%d longest='%s'\n", lines, longest);
  return 0;
}
