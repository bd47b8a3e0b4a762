// UpstreamExchange: one request sent over one link, and its answer taken: both at the same time, so
// that neither side waits for the other for ever.
#ifndef COGI_SERVER_UPSTREAM_EXCHANGE_H_
#define COGI_SERVER_UPSTREAM_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cgi/fcgi_client.h"
#include "cgi/response.h"
#include "server/program/program_io.h"
#include "server/upstream/request_feed.h"

namespace cogi::server {

class UpstreamExchange final : private cgi::fcgi::ResponseSink {
 public:
  enum class End : uint8_t {
    kComplete,   // END_REQUEST came
    kFailed,     // the application broke off or broke the protocol: see failure()
    kAbandoned,  // cancelled, or the client has gone or its body cannot be read
  };

  // What STDOUT and STDERR go to. All must outlive it.
  UpstreamExchange(RequestFeed& feed, cgi::Response& response, ResponseOutput& output,
                   ErrorLines& errors)
      : feed_(feed), response_(response), output_(output), errors_(errors) {}

  // Run() sends what `feed` has and passes the answer on over the connection `fd`. Called once.
  // Yields.
  [[nodiscard]] End Run(int fd);

  // failure() says in a few words what is wrong, after kFailed. errno text or static text.
  [[nodiscard]] std::string_view failure() const { return failure_; }
  // answered() is true once a byte of an answer has come.
  [[nodiscard]] bool answered() const { return answered_; }
  // untouched() is true after kFailed if the application cannot have seen any of the request.
  [[nodiscard]] bool untouched() const { return !sent_; }
  // reusable() is true after kComplete if the connection may carry another request.
  [[nodiscard]] bool reusable() const { return reusable_; }
  // Of END_REQUEST, after kComplete.
  [[nodiscard]] uint32_t app_status() const { return app_status_; }
  [[nodiscard]] cgi::fcgi::ProtocolStatus protocol_status() const { return protocol_status_; }

 private:
  enum class Step : uint8_t { kOn, kComplete, kFailed, kAbandoned };

  void Send();
  Step Receive();
  Step Take(std::string_view bytes);
  Step Broken(int error);
  Step Fail(std::string_view why);

  void OnStdout(uint16_t id, std::string_view bytes) override;
  void OnStderr(uint16_t id, std::string_view bytes) override;
  void OnEnd(uint16_t id, uint32_t app_status, cgi::fcgi::ProtocolStatus status) override;
  void OnValues(const cgi::fcgi::Values& values) override { static_cast<void>(values); }

  RequestFeed& feed_;
  cgi::Response& response_;
  ResponseOutput& output_;
  ErrorLines& errors_;
  cgi::fcgi::ResponseReceiver receiver_;
  std::unique_ptr<char[]> buffer_;  // from the first byte of the answer on
  int fd_ = -1;
  int send_error_ = 0;  // errno of a write that failed: there may still be an answer to read
  bool sent_ = false;   // a byte of the request
  bool answered_ = false;
  bool client_gone_ = false;
  bool ended_ = false;
  bool reusable_ = false;
  uint32_t app_status_ = 0;
  cgi::fcgi::ProtocolStatus protocol_status_{};
  std::string failure_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_EXCHANGE_H_
