// FcgiReceiver: the application's side of a FastCGI connection, push-style: bytes in, events of
// requests out. Knows any number of requests at once; the sink decides how many it takes. No I/O.
#ifndef COGI_CGI_FCGI_RECEIVER_H_
#define COGI_CGI_FCGI_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cgi/export.h"
#include "cgi/fcgi_pairs.h"
#include "cgi/fcgi_record.h"
#include "cgi/fcgi_record_reader.h"
#include "cgi/limits.h"

namespace cogi::cgi::fcgi {

// Where the events of a connection go. Views live until the call returns, but those of OnStdin()
// and OnData() as long as the bytes that were pushed.
class COGI_API RequestSink {
 public:
  virtual ~RequestSink() = default;

  // OnBegin() returns kRequestComplete to take the request, or why not: it is then answered with
  // END_REQUEST of that status, and its other records are ignored.
  virtual ProtocolStatus OnBegin(uint16_t id, Role role, bool keep_connection) = 0;
  virtual void OnParam(uint16_t id, std::string_view name, std::string_view value) = 0;
  virtual void OnParamsEnd(uint16_t id) = 0;
  // Pieces and the end of STDIN and DATA. OnStdinEnd() does not come for authorizers.
  virtual void OnStdin(uint16_t id, std::string_view bytes) = 0;
  virtual void OnStdinEnd(uint16_t id) = 0;
  virtual void OnData(uint16_t id, std::string_view bytes) = 0;
  virtual void OnDataEnd(uint16_t id) = 0;
  // OnAbort() tells that the web server gave the request up (5.4): END_REQUEST is still due.
  virtual void OnAbort(uint16_t id) = 0;
  // OnReply() gives whole records to write before anything else: answers to management records, and
  // END_REQUEST of requests that were not taken.
  virtual void OnReply(std::string_view records) = 0;
};

class COGI_API FcgiReceiver {
 public:
  // Reset() makes it ready for a connection on which nothing is open. `limits` must outlive its
  // use. `management` is the count of management records since the last request, if the connection
  // rested meanwhile; management() gives it back.
  void Reset(const Limits& limits, const Values& values, size_t management = 0);
  [[nodiscard]] size_t management() const { return management_; }

  // Push() reads from `in` and calls `sink`, until one OnParamsEnd(), OnStdin(), OnStdinEnd(),
  // OnData(), OnDataEnd() or OnAbort() was called, `in` is used up or error() is set. Returns how
  // many bytes it used.
  [[nodiscard]] size_t Push(std::string_view in, RequestSink& sink);

  // Forget() is told when END_REQUEST of a request was sent: what still comes for it is ignored.
  void Forget(uint16_t id);

  // idle() is true between two records while no request is open.
  [[nodiscard]] bool idle() const;
  // error() is null, or says in one sentence why the connection must end. code() is a counter's
  // name. Static text.
  [[nodiscard]] const char* error() const { return error_; }
  [[nodiscard]] const char* code() const { return code_; }

 private:
  enum class Phase : uint8_t { kParams, kStdin, kData, kComplete };
  struct Open {
    uint16_t id;
    Role role;
    Phase phase;
    PairParser params;
  };

  void Fail(const char* code, const char* error);
  void BeginRecord();
  void BeginManagement();
  void CheckStream(Phase phase, const char* error);
  void TakeContent(std::string_view content, RequestSink& sink);
  void TakeParams(std::string_view content, RequestSink& sink);
  void TakeGetValues(std::string_view content);
  void EndRecord(RequestSink& sink);
  void EndBegin(RequestSink& sink);
  void EndStream(RequestSink& sink);
  void EndGetValues(RequestSink& sink);
  void Ignore();
  Open* Find(uint16_t id);

  const Limits* limits_ = nullptr;
  Values values_;
  std::vector<Open> open_;
  RecordReader reader_;
  char begin_[kBeginBodySize];  // of BEGIN_REQUEST
  size_t begin_have_ = 0;
  bool ignored_ = false;  // the current record is
  bool stop_ = false;
  PairParser asked_{0, 0};  // of GET_VALUES
  unsigned asked_values_ = 0;
  size_t ignored_bytes_ = 0;
  size_t management_ = 0;
  const char* error_ = nullptr;
  const char* code_ = nullptr;
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_RECEIVER_H_
