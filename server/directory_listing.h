// Directory listings, where a route allows them.
#ifndef COGI_SERVER_DIRECTORY_LISTING_H_
#define COGI_SERVER_DIRECTORY_LISTING_H_

#include "cgi/request.h"
#include "cgi/response.h"

namespace cogi::server {

// AnswerListing() answers with a page that names what lies in the open directory `fd`: directories
// first, sorted, with size and time; no hidden names; at most 10,000 entries. May yield only by
// what Response::Write() does.
void AnswerListing(int fd, cgi::Request& request, cgi::Response& response);

}  // namespace cogi::server

#endif  // COGI_SERVER_DIRECTORY_LISTING_H_
