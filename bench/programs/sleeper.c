/* A CGI program that waits 100 ms, as for a database. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  usleep(100000);
  printf("Content-Type: text/plain\r\n\r\nslept\n");
  return 0;
}
