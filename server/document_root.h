// DocumentRoot: a directory whose files may be served. Opens what a request names and never
// anything outside: no "..", no symbolic link that leads out, no name that begins with a dot.
// Descriptors are the server's own. Open() and Look() may yield: what of a path is not in memory is
// brought there by a helper thread.
#ifndef COGI_SERVER_DOCUMENT_ROOT_H_
#define COGI_SERVER_DOCUMENT_ROOT_H_

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "server/real_calls.h"

namespace cogi::server {

struct OpenedFile {
  UniqueFd fd;
  struct stat status {};
  int error = 0;  // errno if fd is not open: ENOENT, ENOTDIR, EACCES, EXDEV (it leads out), ...
};

class DocumentRoot {
 public:
  // `directory` is absolute. If it cannot be opened, each Open() fails with the errno.
  explicit DocumentRoot(std::string directory);

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] bool usable() const { return static_cast<bool>(root_); }

  // Open() opens `path` (relative to the root, decoded, normalised; "" is the root itself) for
  // reading; Look() only for looking at it. A FIFO or device does not block and is not read: see
  // status. A hidden name is ENOENT.
  [[nodiscard]] OpenedFile Open(std::string_view path) const;
  [[nodiscard]] OpenedFile Look(std::string_view path) const;

 private:
  [[nodiscard]] OpenedFile OpenWith(std::string_view path, int flags) const;

  std::string directory_;
  UniqueFd root_;
  int root_error_ = 0;
};

// HasHiddenPart() is true if a segment of `path` begins with a dot; ".well-known" at its beginning
// (RFC 8615) does not count.
[[nodiscard]] bool HasHiddenPart(std::string_view path);

}  // namespace cogi::server

#endif  // COGI_SERVER_DOCUMENT_ROOT_H_
