// TemporaryFolder() is where the server keeps files that need no name, or one for a moment only:
// what TMPDIR says, if that is an absolute path, else /tmp. The text lives as long as the process.
// Thread-safe. Never yields.
#ifndef COGI_SERVER_TEMPORARY_FOLDER_H_
#define COGI_SERVER_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <string>

namespace cogi::server {

[[nodiscard]] inline const std::string& TemporaryFolder() {
  static const std::string folder = [] {
    const char* wanted = std::getenv("TMPDIR");
    return std::string(wanted != nullptr && *wanted == '/' ? wanted : "/tmp");
  }();
  return folder;
}

}  // namespace cogi::server

#endif  // COGI_SERVER_TEMPORARY_FOLDER_H_
