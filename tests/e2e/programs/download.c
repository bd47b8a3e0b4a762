/* ?bytes=N: an answer of N bytes, in pieces of 8 KiB, with a short sleep after each MiB if
 * ?bytes=N&slow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  static char piece[8192];
  const char *query = getenv("QUERY_STRING");
  long left = query != NULL && strncmp(query, "bytes=", 6) == 0 ? strtol(query + 6, NULL, 10) : 0;
  int slow = query != NULL && strstr(query, "&slow") != NULL;
  long sent = 0;
  for (size_t i = 0; i < sizeof piece; i++) piece[i] = (char)('a' + i % 26);
  printf("Content-Type: application/octet-stream\r\n\r\n");
  while (left > 0) {
    size_t size = left < (long)sizeof piece ? (size_t)left : sizeof piece;
    if (fwrite(piece, 1, size, stdout) != size) return 1;
    left -= (long)size;
    sent += (long)size;
    if (slow && sent % (1 << 20) == 0) usleep(20000);
  }
  return 0;
}
