/* Guards itself: as an authorizer (FastCGI 6.3) it lets pass who says the word that belongs to the
 * name, and tells the web server who that is; as a responder it answers what the web server then
 * knows, and the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value != NULL ? value : "";
}

static void authorize(void) {
  static const char start[] = "word-of-";
  const char *name = variable("REMOTE_USER"), *word = variable("REMOTE_PASSWD"); /* Apache */
  if (*word == '\0') {
    name = variable("HTTP_X_NAME");
    word = variable("HTTP_X_WORD");
  }
  if (strncmp(word, start, strlen(start)) != 0 || strcmp(word + strlen(start), name) != 0) {
    printf("Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\n%s may not\n", name);
  } else {
    printf("Status: 200 OK\r\nVariable-WHO: %s\r\n\r\n", name);
  }
}

int main(void) {
  if (strcmp(variable("FCGI_ROLE"), "AUTHORIZER") == 0) {
    authorize();
    return 0;
  }
  printf("Content-Type: text/plain\r\n\r\n%s: ", variable("WHO"));
  for (int c; (c = getchar()) != EOF;) putchar(c);
  return 0;
}
