/* Sends the request's body back, whatever it is and however long: curl --data-binary @file ... */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  static char buffer[16384];
  const char *type = getenv("CONTENT_TYPE");
  size_t got;
  printf("Content-Type: %s\r\n\r\n",
         type != NULL && *type != '\0' ? type : "application/octet-stream");
  while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
    if (fwrite(buffer, 1, got, stdout) != got) return 1; /* the client has left */
  }
  return ferror(stdin) ? 1 : 0;
}
