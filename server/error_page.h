// Error answers of the server itself. May yield only by what Response::Write() does.
#ifndef COGI_SERVER_ERROR_PAGE_H_
#define COGI_SERVER_ERROR_PAGE_H_

#include <string_view>

#include "cgi/request.h"
#include "cgi/response.h"

namespace cogi::server {

// AnswerError() replaces whatever the response has by a small page with `status`, what it means and
// the request's id; no paths, no versions. If the head was sent already the connection is cut
// instead, so that the client sees that the answer is not complete.
void AnswerError(cgi::Request& request, cgi::Response& response, int status,
                 std::string_view detail = {});

}  // namespace cogi::server

#endif  // COGI_SERVER_ERROR_PAGE_H_
