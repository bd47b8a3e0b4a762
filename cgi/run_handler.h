// What every front end does around a handler.
#ifndef COGI_CGI_RUN_HANDLER_H_
#define COGI_CGI_RUN_HANDLER_H_

#include "cgi/events.h"
#include "cgi/handler.h"
#include "cgi/request.h"
#include "cgi/response.h"

namespace cogi::cgi {

// RunHandler() calls the handler. An exception that leaves it becomes a 500, or cuts the answer if
// its head was sent. May yield.
void RunHandler(Handler& handler, Request& request, Response& response, Events& events);

// ReplaceByRefusal() is called after a handler whose request's body could not be read: whatever it
// made of that, the peer is told why. Status 0: nobody is there who could be told, and the answer
// is cut; so is one whose head was sent.
void ReplaceByRefusal(const Refusal& refusal, const Request& request, Response& response,
                      Events& events);

// ReportLength() tells `events` of an answer that does not keep its Content-Length.
void ReportLength(const Response& response, bool body_short, const Request& request,
                  Events& events);

}  // namespace cogi::cgi

#endif  // COGI_CGI_RUN_HANDLER_H_
