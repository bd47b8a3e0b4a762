/* pages.c as a FastCGI program by fcgi_stdio.h: the same source, in an accept loop. */
#include <fcgi_stdio.h>

#define main answer
#include "pages.c"
#undef main

int main(void) {
  while (FCGI_Accept() >= 0) FCGI_SetExitStatus(answer());
  return 0;
}
