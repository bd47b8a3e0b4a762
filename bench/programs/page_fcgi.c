/* The same as a libfcgi program. */
#include <fcgiapp.h>
#include <stddef.h>

int main(void) {
  FCGX_Request request;
  FCGX_Init();
  FCGX_InitRequest(&request, 0, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
    FCGX_FPrintF(request.out, "Content-Type: text/html\r\n\r\n");
    FCGX_FPrintF(request.out, "<!doctype html><title>Page</title>\n<p>Asked for %s</p>\n",
                 query != NULL ? query : "");
    FCGX_Finish_r(&request);
  }
  return 0;
}
