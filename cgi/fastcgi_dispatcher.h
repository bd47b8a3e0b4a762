// FastCgiDispatcher: gives each record of a connection to the request that it belongs to.
// Push-style, no I/O: FastCgiConnection reads for it one request at a time, a server that has
// coroutines for any number of them.
#ifndef COGI_CGI_FASTCGI_DISPATCHER_H_
#define COGI_CGI_FASTCGI_DISPATCHER_H_

#include <string>
#include <string_view>
#include <vector>

#include "cgi/export.h"
#include "cgi/fastcgi_exchange.h"
#include "cgi/fcgi_receiver.h"

namespace cogi::cgi {

class COGI_API FastCgiDispatcher final : private fcgi::RequestSink {
 public:
  // Owner has the requests.
  class Owner {
   public:
    virtual ~Owner() = default;
    // OnBegin() gives the exchange of a new request, begun, or null and why it is refused.
    virtual FastCgiExchange* OnBegin(uint16_t id, fcgi::Role role, bool keep_connection,
                                     fcgi::ProtocolStatus* why) = 0;
    // OnReady() tells that the parameters of a request are complete; OnInput() that something of
    // its body or its data has come, or their end; OnAbort() that nobody waits for its answer any
    // more, at any time.
    virtual void OnReady(FastCgiExchange& exchange) = 0;
    virtual void OnInput(FastCgiExchange& exchange) = 0;
    virtual void OnAbort(FastCgiExchange& exchange) = 0;
  };

  // Reset() makes it ready for a connection on which nothing is open. As FcgiReceiver::Reset().
  void Reset(Owner& owner, const Limits& limits, const fcgi::Values& values, size_t management);

  // Push() takes bytes up to the next event. Returns how many it used; see FcgiReceiver.
  [[nodiscard]] size_t Push(std::string_view bytes) { return receiver_.Push(bytes, *this); }
  [[nodiscard]] const fcgi::FcgiReceiver& receiver() const { return receiver_; }

  // open() are the requests that have begun and were not ended by End().
  [[nodiscard]] const std::vector<FastCgiExchange*>& open() const { return open_; }
  void End(FastCgiExchange& exchange);

  // replies() are whole records to send before anything else; whoever sends them clears it.
  [[nodiscard]] std::string& replies() { return replies_; }

 private:
  FastCgiExchange& Of(uint16_t id);

  fcgi::ProtocolStatus OnBegin(uint16_t id, fcgi::Role role, bool keep_connection) override;
  void OnParam(uint16_t id, std::string_view name, std::string_view value) override;
  void OnParamsEnd(uint16_t id) override;
  void OnStdin(uint16_t id, std::string_view bytes) override;
  void OnStdinEnd(uint16_t id) override;
  void OnData(uint16_t id, std::string_view bytes) override;
  void OnDataEnd(uint16_t id) override;
  void OnAbort(uint16_t id) override;
  void OnReply(std::string_view records) override { replies_ += records; }

  Owner* owner_ = nullptr;
  fcgi::FcgiReceiver receiver_;
  std::vector<FastCgiExchange*> open_;
  std::string replies_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_FASTCGI_DISPATCHER_H_
