// A FastCGI program by fcgiapp.h and fcgio.h: a clock of five ticks, as server-sent events. Each is
// flushed, and each sleep lets the others run.
#include <fcgio.h>
#include <unistd.h>

#include <ctime>
#include <iomanip>
#include <ostream>

int main() {
  FCGX_Request request;
  if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0) return 1;
  while (FCGX_Accept_r(&request) == 0) {
    fcgi_streambuf buffer(request.out);
    std::ostream out(&buffer);
    out << "Content-Type: text/event-stream\r\n"
           "Cache-Control: no-store\r\n"
           "X-Accel-Buffering: no\r\n\r\n";
    for (int tick = 1; tick <= 5 && out; ++tick) {
      const std::time_t now = std::time(nullptr);
      std::tm parts{};
      out << "data: " << tick << " of 5, " << std::put_time(gmtime_r(&now, &parts), "%T") << "\n\n"
          << std::flush;
      if (tick < 5) usleep(200'000);
    }
    FCGX_Finish_r(&request);
  }
}
