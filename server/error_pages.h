// ErrorPages: a route's own pages for what the server itself answers with an error. Immutable;
// never yields.
#ifndef COGI_SERVER_ERROR_PAGES_H_
#define COGI_SERVER_ERROR_PAGES_H_

#include <cstdint>
#include <map>
#include <string>

#include "cgi/response.h"

namespace cogi::server {

class ErrorPages {
 public:
  // Reads the files, by status (404) or class (4, 5). Throws StartError if one cannot be read or is
  // larger than 1 MiB.
  explicit ErrorPages(const std::map<uint16_t, std::string>& files);

  // Apply() puts the page for the answer's status, if there is one, in place of its body. For
  // placeholders (Response::is_placeholder()).
  void Apply(cgi::Response& response) const;

 private:
  struct Page {
    std::string type;
    std::string text;
  };
  std::map<uint16_t, Page> pages_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ERROR_PAGES_H_
