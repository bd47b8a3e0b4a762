#include "server/upstream/request_feed.h"

#include "cgi/fcgi_client.h"
#include "cgi/fcgi_encoder.h"

namespace cogi::server {
namespace {

using cgi::fcgi::Role;
using cgi::fcgi::Type;

// A record that needs no padding when it is full.
constexpr size_t kPiece = 32 * 1024 - cgi::fcgi::kHeaderSize;
// So much is kept, so that a request can be sent again.
constexpr size_t kKeep = 128 * 1024;

Role RoleOf(const cgi::Request& request) {
  const std::string_view role = request.Variable("FCGI_ROLE").value_or("");
  if (role == "AUTHORIZER") return Role::kAuthorizer;
  return role == "FILTER" ? Role::kFilter : Role::kResponder;
}

}  // namespace

RequestFeed::RequestFeed(cgi::Request& request, bool keep_connection) : request_(request) {
  const Role role = RoleOf(request);
  filter_ = role == Role::kFilter;
  cgi::fcgi::AppendRequestHead(records_, kId, role, keep_connection, request);
  if (role == Role::kAuthorizer) {
    stage_ = Stage::kDone;
  } else if (request.content_length().value_or(1) == 0) {
    cgi::fcgi::AppendStreamEnd(records_, Type::kStdin, kId);
    stage_ = filter_ ? Stage::kData : Stage::kDone;
  }
}

void RequestFeed::Sent(size_t bytes) {
  at_ += bytes;
  if (at_ < records_.size() || (whole_ && records_.size() <= kKeep)) return;
  whole_ = false;
  records_.clear();
  at_ = 0;
}

bool RequestFeed::Refill() {
  const bool body = stage_ == Stage::kBody;
  const Type type = body ? Type::kStdin : Type::kData;
  const size_t begin = records_.size();
  records_.resize(begin + cgi::fcgi::kHeaderSize + kPiece);
  char* const content = records_.data() + begin + cgi::fcgi::kHeaderSize;
  const ssize_t got =
      body ? request_.ReadBody(content, kPiece) : request_.ReadData(content, kPiece);
  const size_t size = got > 0 ? static_cast<size_t>(got) : 0;
  records_.resize(begin + (got < 0 ? 0 : cgi::fcgi::kHeaderSize + size));
  if (got < 0) return false;
  const uint8_t padding = cgi::fcgi::PaddingFor(size);
  cgi::fcgi::PutHeader(records_.data() + begin, type, kId, static_cast<uint16_t>(size), padding);
  records_.append(padding, '\0');
  if (size == 0) stage_ = body && filter_ ? Stage::kData : Stage::kDone;
  return true;
}

bool RequestFeed::Rewind() {
  if (!whole_) return false;
  at_ = 0;
  return true;
}

}  // namespace cogi::server
