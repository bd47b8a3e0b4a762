// NphHeader: programs whose name begins with "nph-" write the whole HTTP header themselves (RFC
// 3875 5). A front end cannot pass it on as it is (over FastCGI there is no such thing), so its
// status line is turned into the Status field that says the same.
#ifndef COGI_SERVER_EXEC_NPH_HEADER_H_
#define COGI_SERVER_EXEC_NPH_HEADER_H_

#include <string>
#include <string_view>

namespace cogi::server {

class NphHeader {
 public:
  // Pass() hands `bytes` on to `take`, the status line rewritten. Returns what `take` does, true if
  // nothing was handed on yet.
  template <class Take>
  bool Pass(std::string_view bytes, Take take) {
    if (done_) return take(bytes);
    const size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end == bytes.npos ? bytes.size() : end + 1));
    if (end == bytes.npos && line_.size() < kMaxLine) return true;
    done_ = true;
    if (line_.starts_with("HTTP/")) line_.replace(0, line_.find(' '), "Status:");
    return take(line_) && (end == bytes.npos || take(bytes.substr(end + 1)));
  }

 private:
  static constexpr size_t kMaxLine = 8 * 1024;
  bool done_ = false;
  std::string line_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_EXEC_NPH_HEADER_H_
