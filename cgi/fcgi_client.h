// The web server's side of FastCGI: asking an application (php-fpm, a packaged FastCGI program) and
// reading what it answers. Push-style, like FcgiReceiver; no I/O. A request is sent by
// AppendRequestHead(), then the body by WriteStream() with Type::kStdin, then AppendStreamEnd().
#ifndef COGI_CGI_FCGI_CLIENT_H_
#define COGI_CGI_FCGI_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cgi/export.h"
#include "cgi/fcgi_pairs.h"
#include "cgi/fcgi_record.h"
#include "cgi/fcgi_record_reader.h"

namespace cogi::cgi {
class Request;
}

namespace cogi::cgi::fcgi {

// AppendRequestHead() appends BEGIN_REQUEST, all meta-variables of `request` as PARAMS, and the end
// of PARAMS.
COGI_API void AppendRequestHead(std::string& out, uint16_t id, Role role, bool keep_connection,
                                const Request& request);
// AppendAbortRequest() appends ABORT_REQUEST; the application still answers END_REQUEST.
COGI_API void AppendAbortRequest(std::string& out, uint16_t id);
// AppendGetValues() asks for all that the specification defines (4.1).
COGI_API void AppendGetValues(std::string& out);

// Where the events of a connection to an application go. Views live as long as the bytes that were
// pushed.
class COGI_API ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void OnStdout(uint16_t id, std::string_view bytes) = 0;
  virtual void OnStderr(uint16_t id, std::string_view bytes) = 0;
  // OnEnd() is the last event of a request; the id is free again.
  virtual void OnEnd(uint16_t id, uint32_t app_status, ProtocolStatus status) = 0;
  // OnValues() is the answer to GET_VALUES; what the application did not name has the default.
  virtual void OnValues(const Values& values) = 0;
};

class COGI_API ResponseReceiver {
 public:
  // Reset() makes it ready for a new connection.
  void Reset();

  // Open() is told when a request was sent: only such ids may be answered.
  void Open(uint16_t id) { open_.push_back(id); }
  [[nodiscard]] size_t open() const { return open_.size(); }

  // Push() reads from `in` and calls `sink`, until one of its functions was called, `in` is used up
  // or error() is set. Returns how many bytes it used.
  [[nodiscard]] size_t Push(std::string_view in, ResponseSink& sink);

  // idle() is true between two records while no request is open: the connection may be kept, if
  // nothing follows.
  [[nodiscard]] bool idle() const { return open_.empty() && reader_.between_records(); }
  // error() is null, or says in one sentence why the connection is of no use any more. Static text.
  [[nodiscard]] const char* error() const { return error_; }

 private:
  void BeginRecord();
  void TakeContent(std::string_view content, ResponseSink& sink);
  void TakeValues(std::string_view content);
  void EndRecord(ResponseSink& sink);
  void EndRequest(ResponseSink& sink);
  [[nodiscard]] bool IsOpen(uint16_t id) const;

  std::vector<uint16_t> open_;
  RecordReader reader_;
  char end_[kEndBodySize];  // of END_REQUEST
  size_t end_have_ = 0;
  bool stop_ = false;
  PairParser pairs_{0, 0};
  Values values_;
  const char* error_ = nullptr;
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_CLIENT_H_
