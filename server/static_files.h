// StaticFiles: a handler that serves the files of a directory and never runs one. GET and HEAD;
// conditional and range requests (RFC 9110 13, 14); sendfile. May yield in Serve().
#ifndef COGI_SERVER_STATIC_FILES_H_
#define COGI_SERVER_STATIC_FILES_H_

#include <string>
#include <string_view>

#include "cgi/handler.h"
#include "server/document_root.h"

namespace cogi::server {

class StaticFiles final : public cgi::Handler {
 public:
  // `prefix` is the part of the request's path that stands for the root ("/" or "/files/").
  // `index` is the file that answers for a directory; "": none, 403.
  StaticFiles(const DocumentRoot& root, std::string prefix, std::string index);

  void Serve(cgi::Request& request, cgi::Response& response) override;

  // ServeFile() answers with the file at `relative` (below the root, no leading slash). A directory
  // is answered by its index, or by a redirect to its name with a slash.
  void ServeFile(cgi::Request& request, cgi::Response& response, std::string_view relative);

 private:
  void SendOpened(cgi::Request& request, cgi::Response& response, const OpenedFile& file,
                  std::string_view name);

  const DocumentRoot& root_;
  std::string prefix_;
  std::string index_;
};

// BelowPrefix() is the part of `path` below a route's prefix, without a leading slash: "/a/b" below
// "/a/" or "/a" is "b", "/a" below either is "".
[[nodiscard]] std::string_view BelowPrefix(std::string_view path, std::string_view prefix);

}  // namespace cogi::server

#endif  // COGI_SERVER_STATIC_FILES_H_
