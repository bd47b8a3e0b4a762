#include "server/static_files.h"

#include <cerrno>
#include <utility>

#include "server/conditional.h"
#include "server/content_type.h"
#include "server/error_page.h"
#include "server/log.h"
#include "server/text.h"

namespace cogi::server {
namespace {

int StatusOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return 404;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
      return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 500;
  }
}

// "/dir" is answered by its name with a slash, so that relative links in its index work.
void RedirectToDirectory(cgi::Request& request, cgi::Response& response) {
  std::string location;
  EncodePath(location, request.path());
  location += '/';
  if (!request.query().empty()) location += Concat("?", request.query());
  AnswerError(request, response, 301);
  response.SetHeader("Location", location);
}

}  // namespace

std::string_view BelowPrefix(std::string_view path, std::string_view prefix) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  path.remove_prefix(std::min(prefix.size(), path.size()));
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

StaticFiles::StaticFiles(const DocumentRoot& root, std::string prefix, std::string index)
    : root_(root), prefix_(std::move(prefix)), index_(std::move(index)) {}

void StaticFiles::Serve(cgi::Request& request, cgi::Response& response) {
  ServeFile(request, response, BelowPrefix(request.path(), prefix_));
}

void StaticFiles::ServeFile(cgi::Request& request, cgi::Response& response,
                            std::string_view relative) {
  if (request.method() != "GET" && request.method() != "HEAD") {
    AnswerError(request, response, 405);
    response.SetHeader("Allow", "GET, HEAD");
    return;
  }
  OpenedFile file = root_.Open(relative);
  if (file.error == 0 && S_ISDIR(file.status.st_mode)) {
    if (!request.path().ends_with('/')) return RedirectToDirectory(request, response);
    if (index_.empty()) return AnswerError(request, response, 403);
    std::string name(relative);
    if (!name.empty() && !name.ends_with('/')) name += '/';
    name += index_;
    file = root_.Open(name);
    if (file.error == ENOENT) return AnswerError(request, response, 403);
    if (file.error == 0) return SendOpened(request, response, file, name);
  }
  if (file.error != 0) {
    const int status = StatusOf(file.error);
    if (status >= 500) {
      static LogLimiter limiter;
      limiter.Log(Level::kError, Concat("cannot open ", root_.directory(), "/", relative, ": ",
                                        ErrnoText(file.error)));
    }
    return AnswerError(request, response, status);
  }
  SendOpened(request, response, file, relative);
}

void StaticFiles::SendOpened(cgi::Request& request, cgi::Response& response, const OpenedFile& file,
                             std::string_view name) {
  // Devices, FIFOs and sockets are no files to serve; "file/" names no file.
  if (!S_ISREG(file.status.st_mode)) return AnswerError(request, response, 403);
  if (name.ends_with('/')) return AnswerError(request, response, 404);
  const auto size = static_cast<uint64_t>(file.status.st_size);
  const Validators validators = ValidatorsOf(file.status);
  response.SetHeader("Last-Modified", validators.last_modified.view());
  response.SetHeader("ETag", validators.etag.view());
  const Selection selection = Select(request, validators, file.status, size);
  response.SetStatus(selection.status);
  if (selection.status == 304) return;
  if (selection.status == 412) return AnswerError(request, response, 412);
  if (selection.status == 416) {
    AnswerError(request, response, 416);
    response.SetHeader("Content-Range", Concat("bytes */", size));
    return;
  }
  response.SetHeader("Content-Type", ContentTypeOf(name));
  response.SetHeader("Accept-Ranges", "bytes");
  response.SetHeader("Content-Length", Concat(selection.length));
  if (selection.status == 206)
    response.SetHeader("Content-Range", Concat("bytes ", selection.offset, "-",
                                               selection.offset + selection.length - 1, "/", size));
  if (request.method() == "HEAD" || selection.length == 0) return;
  response.SendFile(file.fd.get(), static_cast<off_t>(selection.offset),
                    static_cast<size_t>(selection.length));
}

}  // namespace cogi::server
