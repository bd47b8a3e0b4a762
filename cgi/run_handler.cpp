#include "cgi/run_handler.h"

#include <cxxabi.h>

#include <exception>

#include "cgi/error_answer.h"

namespace cogi::cgi {

void RunHandler(Handler& handler, Request& request, Response& response, Events& events) {
  try {
    handler.Serve(request, response);
    return;
  } catch (const abi::__forced_unwind&) {
    throw;  // the coroutine is being ended; it must not be stopped here
  } catch (const std::exception& error) {
    events.Threw(request, error.what());
  } catch (...) {
    events.Threw(request, "an exception that is no std::exception");
  }
  if (response.head_sent()) {
    response.Abort();
  } else {
    FillErrorAnswer(response, 500, "the program that answers this address failed");
  }
}

void ReportLength(const Response& response, bool body_short, const Request& request,
                  Events& events) {
  if (response.body_cut()) {
    events.Refused({0, "answer_too_long", "the answer is longer than its Content-Length"},
                   &request);
  }
  if (body_short) {
    events.Refused({0, "answer_too_short", "the answer is shorter than its Content-Length"},
                   &request);
  }
}

}  // namespace cogi::cgi
