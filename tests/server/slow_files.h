// SlowFiles: in its scope each hooked call on a file or folder waits as for a slow disk, so that
// what relies on such a call not to yield is found.
#ifndef COGI_TESTS_SERVER_SLOW_FILES_H_
#define COGI_TESTS_SERVER_SLOW_FILES_H_

#include "hooks/calls.h"

namespace cogi::server {

class SlowFiles {
 public:
  explicit SlowFiles(unsigned microseconds) { hooks::g_switches.slow_files = microseconds; }
  ~SlowFiles() { hooks::g_switches.slow_files = before_; }
  SlowFiles(const SlowFiles&) = delete;
  SlowFiles& operator=(const SlowFiles&) = delete;

 private:
  const unsigned before_ = hooks::g_switches.slow_files;
};

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_SLOW_FILES_H_
