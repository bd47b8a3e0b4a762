// RequestFeed: a request as the FastCGI records that an application is sent: parameters, the body
// as it comes from the client, and a filter's data.
#ifndef COGI_SERVER_UPSTREAM_REQUEST_FEED_H_
#define COGI_SERVER_UPSTREAM_REQUEST_FEED_H_

#include <string>
#include <string_view>

#include "cgi/body_spool.h"
#include "cgi/fcgi_record.h"
#include "cgi/request.h"

namespace cogi::server {

class RequestFeed {
 public:
  // The request has the number 1 on its connection.
  static constexpr uint16_t kId = 1;

  // `request` must outlive it.
  explicit RequestFeed(cgi::Request& request) : request_(request) {}

  // Start() makes the head pending, for the role that the request came with (FCGI_ROLE). A body
  // whose length was not announced is read first, since applications read as much as CONTENT_LENGTH
  // says: `memory` bytes of it are kept in memory, the rest in a file. False with errno if it
  // cannot be read or kept. May yield.
  [[nodiscard]] bool Start(bool keep_connection, size_t memory);

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

  [[nodiscard]] bool SpoolBody(size_t memory);
  ssize_t ReadPiece(char* to, size_t size);

  cgi::Request& request_;
  cgi::BodySpool spool_;  // a body of unannounced length
  bool spooled_ = false;
  bool filter_ = false;
  Stage stage_ = Stage::kBody;
  bool whole_ = true;  // records_ is everything so far, else only what was not sent
  std::string records_;
  size_t at_ = 0;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_REQUEST_FEED_H_
