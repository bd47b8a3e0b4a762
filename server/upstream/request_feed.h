// RequestFeed: a request as the FastCGI records that an application is sent: parameters, the body
// as it comes from the client, and a filter's data.
#ifndef COGI_SERVER_UPSTREAM_REQUEST_FEED_H_
#define COGI_SERVER_UPSTREAM_REQUEST_FEED_H_

#include <string>
#include <string_view>

#include "cgi/fcgi_record.h"
#include "cgi/request.h"

namespace cogi::server {

class RequestFeed {
 public:
  // The request has the number 1 on its connection.
  static constexpr uint16_t kId = 1;

  // `request` must outlive it. Its role is the one that it came with (FCGI_ROLE).
  RequestFeed(cgi::Request& request, bool keep_connection);

  // pending() is what is to be sent next; Sent() takes it off the front.
  [[nodiscard]] std::string_view pending() const { return std::string_view(records_).substr(at_); }
  void Sent(size_t bytes);
  // done() is true if nothing follows pending().
  [[nodiscard]] bool done() const { return stage_ == Stage::kDone; }

  // Refill() adds the next piece of body or data to pending(). False with errno if it cannot be
  // read, as Request::ReadBody(). May yield.
  [[nodiscard]] bool Refill();

  // Rewind() starts from the front again, for another application. False, and nothing is changed,
  // if too much of the body is gone for that.
  [[nodiscard]] bool Rewind();

 private:
  enum class Stage : uint8_t { kBody, kData, kDone };

  cgi::Request& request_;
  bool filter_ = false;
  Stage stage_ = Stage::kBody;
  bool whole_ = true;  // records_ is everything so far, else only what was not sent
  std::string records_;
  size_t at_ = 0;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_REQUEST_FEED_H_
