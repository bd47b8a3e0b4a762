// StaticFiles: a handler that serves the files of a directory and never runs one. GET and HEAD;
// conditional and range requests (RFC 9110 13, 14); compressed files in the place of others;
// listings; sendfile. May yield in Serve().
#ifndef COGI_SERVER_STATIC_FILES_H_
#define COGI_SERVER_STATIC_FILES_H_

#include <string>
#include <string_view>

#include "cgi/handler.h"
#include "config/settings.h"
#include "server/document_root.h"

namespace cogi::server {

class StaticFiles final : public cgi::Handler {
 public:
  // The route's path is the part of a request's path that stands for the root ("/" or "/files/");
  // its index, listing and precompressed count. Both must outlive it.
  StaticFiles(const DocumentRoot& root, const config::Route& route);

  void Serve(cgi::Request& request, cgi::Response& response) override;

  // ServeFile() answers with the file at `relative` (below the root, no leading slash). A directory
  // is answered by its index, or by a redirect to its name with a slash.
  void ServeFile(cgi::Request& request, cgi::Response& response, std::string_view relative);

 private:
  void ServeDirectory(cgi::Request& request, cgi::Response& response, const OpenedFile& directory,
                      std::string_view relative);
  void RefuseToOpen(cgi::Request& request, cgi::Response& response, int error,
                    std::string_view relative);
  void SendOpened(cgi::Request& request, cgi::Response& response, OpenedFile& file,
                  std::string_view name);
  void PreferPrecompressed(const cgi::Request& request, cgi::Response& response, OpenedFile& file,
                           std::string_view name);

  const DocumentRoot& root_;
  const config::Route& route_;
};

// BelowPrefix() is the part of `path` below a route's prefix, without a leading slash: "/a/b" below
// "/a/" or "/a" is "b", "/a" below either is "".
[[nodiscard]] std::string_view BelowPrefix(std::string_view path, std::string_view prefix);

}  // namespace cogi::server

#endif  // COGI_SERVER_STATIC_FILES_H_
