// The pages of pages.c as a FastCGI program by fcgio.h.
#include <fcgio.h>

#include <iostream>

#include "pages_streams.h"

int main() {
  FCGX_Request request;
  if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0) return 1;
  while (FCGX_Accept_r(&request) == 0) {
    fcgi_streambuf input(request.in);
    fcgi_streambuf output(request.out);
    std::istream in(&input);
    std::ostream out(&output);
    Pages(in, out, request.envp).Answer();
    out.flush();
    FCGX_Finish_r(&request);
  }
}
