#include "cgi/run_handler.h"

#include <cxxabi.h>

#include <exception>
#include <new>

#include "cgi/error_answer.h"

namespace cogi::cgi {

void RunHandler(Handler& handler, Request& request, Response& response, Events& events) {
  int status = 500;
  try {
    handler.Serve(request, response);
    return;
  } catch (const abi::__forced_unwind&) {
    throw;  // the coroutine is being ended; it must not be stopped here
  } catch (const std::bad_alloc&) {
    events.Refused({503, "no_memory", "there is no memory for the answer"}, &request);
    status = 503;
  } catch (const std::exception& error) {
    events.Threw(request, error.what());
  } catch (...) {
    events.Threw(request, "an exception that is no std::exception");
  }
  if (response.head_sent()) {
    response.Abort();
  } else {
    FillErrorAnswer(response, status,
                    status == 503 ? "the server is out of memory for the moment"
                                  : "the program that answers this address failed");
  }
}

void ReplaceByRefusal(const Refusal& refusal, const Request& request, Response& response,
                      Events& events) {
  if (response.head_sent() || refusal.status == 0) {
    response.Abort();
  } else {
    FillErrorAnswer(response, refusal.status, refusal.reason);
  }
  events.Refused(refusal, &request);
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
