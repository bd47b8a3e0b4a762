// FillErrorAnswer: the small text answers that the front ends give by themselves.
#ifndef COGI_CGI_ERROR_ANSWER_H_
#define COGI_CGI_ERROR_ANSWER_H_

#include "cgi/export.h"
#include "cgi/response.h"

namespace cogi::cgi {

// FillErrorAnswer() makes `response`, whose head was not sent, an answer of `status` with a line of
// text that gives `reason` (static text; never bytes of the peer).
COGI_API void FillErrorAnswer(Response& response, int status, const char* reason);

}  // namespace cogi::cgi

#endif  // COGI_CGI_ERROR_ANSWER_H_
