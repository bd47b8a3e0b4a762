/* The same as a libfcgi program. */
#include <fcgiapp.h>
#include <unistd.h>

int main(void) {
  FCGX_Request request;
  FCGX_Init();
  FCGX_InitRequest(&request, 0, 0);
  while (FCGX_Accept_r(&request) == 0) {
    usleep(100000);
    FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\nslept\n");
    FCGX_Finish_r(&request);
  }
  return 0;
}
