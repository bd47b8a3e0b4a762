#include "server/static_files.h"

#include <cerrno>
#include <utility>

#include "server/byte_ranges.h"
#include "server/conditional.h"
#include "server/content_coding.h"
#include "server/content_type.h"
#include "server/directory_listing.h"
#include "server/error_page.h"
#include "server/log.h"
#include "server/route_filter.h"
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

void Forbid(cgi::Request& request, cgi::Response& response, std::string_view what) {
  static LogLimiter limiter;
  limiter.Log(Level::kInfo, "403: request ", request.id(), " ", request.target(), ": ", what);
  AnswerError(request, response, 403);
}

// Several parts of a file: multipart/byteranges (RFC 9110 14.6).
void SendParts(cgi::Response& response, const OpenedFile& file, const MultipartRanges& ranges) {
  response.SetHeader("Content-Type", ranges.content_type());
  response.SetHeader("Content-Length", Concat(ranges.content_length()));
  for (size_t index = 0; index < ranges.parts().size(); ++index) {
    const ByteRange& part = ranges.parts()[index];
    if (!response.Write(ranges.HeadOf(index)) ||
        !response.SendFile(file.fd.get(), static_cast<off_t>(part.offset),
                           static_cast<size_t>(part.length)))
      return;
  }
  response.Write(ranges.tail());
}

}  // namespace

std::string_view BelowPrefix(std::string_view path, std::string_view prefix) {
  path.remove_prefix(std::min(WithoutSlash(prefix).size(), path.size()));
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

StaticFiles::StaticFiles(const DocumentRoot& root, const config::Route& route)
    : root_(root), route_(route) {}

void StaticFiles::Serve(cgi::Request& request, cgi::Response& response) {
  ServeFile(request, response, BelowPrefix(request.path(), route_.path));
}

void StaticFiles::ServeFile(cgi::Request& request, cgi::Response& response,
                            std::string_view relative) {
  if (request.method() != "GET" && request.method() != "HEAD") {
    AnswerError(request, response, 405);
    response.SetHeader("Allow", "GET, HEAD");
    return;
  }
  OpenedFile file = root_.Open(relative);
  if (file.error != 0) return RefuseToOpen(request, response, file.error, relative);
  if (S_ISDIR(file.status.st_mode)) return ServeDirectory(request, response, file, relative);
  SendOpened(request, response, file, relative);
}

void StaticFiles::ServeDirectory(cgi::Request& request, cgi::Response& response,
                                 const OpenedFile& directory, std::string_view relative) {
  if (!request.path().ends_with('/')) return RedirectToDirectory(request, response);
  std::string name(relative);
  if (!name.empty() && !name.ends_with('/')) name += '/';
  name += route_.index;
  OpenedFile file;
  file.error = ENOENT;
  if (!route_.index.empty()) file = root_.Open(name);
  if (file.error == 0) return SendOpened(request, response, file, name);
  if (file.error != ENOENT) return RefuseToOpen(request, response, file.error, name);
  if (!route_.listing) return Forbid(request, response, "a directory without an index");
  AnswerListing(directory.fd.get(), request, response);
}

void StaticFiles::RefuseToOpen(cgi::Request& request, cgi::Response& response, int error,
                               std::string_view relative) {
  const int status = StatusOf(error);
  if (status != 404) {
    static LogLimiter limiter;
    limiter.Log(status == 403 ? Level::kWarning : Level::kError, "cannot open ", root_.directory(),
                "/", relative, ": ", ErrnoText(error));
  }
  AnswerError(request, response, status);
}

// FILE.br or FILE.gz in the place of FILE, if the client takes it and it is not older. Which it is
// depends on the client, so caches are told even where it is FILE.
void StaticFiles::PreferPrecompressed(const cgi::Request& request, cgi::Response& response,
                                      OpenedFile& file, std::string_view name) {
  VaryByEncoding(response);
  Accepts accepts = ParseAcceptEncoding(request.Header("Accept-Encoding"));
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Coding coding = Choose(accepts, true, true);
    if (coding == Coding::kIdentity) return;
    OpenedFile coded = root_.Open(Concat(name, SuffixOf(coding)));
    if (coded.error == 0 && S_ISREG(coded.status.st_mode) &&
        coded.status.st_mtim.tv_sec >= file.status.st_mtim.tv_sec) {
      response.SetHeader("Content-Encoding", NameOf(coding));
      file = std::move(coded);
      return;
    }
    (coding == Coding::kGzip ? accepts.gzip : accepts.brotli) = false;
  }
}

void StaticFiles::SendOpened(cgi::Request& request, cgi::Response& response, OpenedFile& file,
                             std::string_view name) {
  // Devices, FIFOs and sockets are no files to serve; "file/" names no file.
  if (!S_ISREG(file.status.st_mode)) return Forbid(request, response, "no regular file");
  if (name.ends_with('/')) return AnswerError(request, response, 404);
  if (route_.precompressed) PreferPrecompressed(request, response, file, name);
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
  if (!selection.parts.empty())
    return SendParts(response, file, {ContentTypeOf(name), selection.parts, size});
  response.SetHeader("Content-Type", ContentTypeOf(name));
  response.SetHeader("Accept-Ranges", "bytes");
  response.SetHeader("Content-Length", Concat(selection.length));
  if (selection.status == 206)
    response.SetHeader("Content-Range", ContentRange({selection.offset, selection.length}, size));
  if (request.method() == "HEAD" || selection.length == 0) return;
  response.SendFile(file.fd.get(), static_cast<off_t>(selection.offset),
                    static_cast<size_t>(selection.length));
}

}  // namespace cogi::server
