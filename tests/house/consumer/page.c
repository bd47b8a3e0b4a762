/* A CGI program of somebody else. */
#include <stdio.h>

int main(void) {
  puts("Content-Type: text/plain\r\n\r\nhello from a module\r");
  return 0;
}
