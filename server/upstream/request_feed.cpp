#include "server/upstream/request_feed.h"

#include <memory>

#include "cgi/fcgi_client.h"
#include "cgi/fcgi_encoder.h"
#include "server/temporary_folder.h"

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

bool RequestFeed::SpoolBody(size_t memory) {
  spooled_ = true;
  spool_.Start(memory, TemporaryFolder().c_str());
  uint64_t length = 0;
  const auto piece = std::make_unique_for_overwrite<char[]>(kPiece);
  for (;;) {
    const ssize_t got = request_.ReadBody(piece.get(), kPiece);
    if (got < 0 || (got > 0 && !spool_.Append({piece.get(), static_cast<size_t>(got)})))
      return false;
    if (got == 0) break;
    length += static_cast<uint64_t>(got);
  }
  if (length > 0) request_.SetVariable("CONTENT_LENGTH", std::to_string(length));
  return true;
}

bool RequestFeed::Start(bool keep_connection, size_t memory) {
  const Role role = RoleOf(request_);
  filter_ = role == Role::kFilter;
  if (role != Role::kAuthorizer && !request_.content_length() && !SpoolBody(memory)) return false;
  cgi::fcgi::AppendRequestHead(records_, kId, role, keep_connection, request_);
  if (role == Role::kAuthorizer) {
    stage_ = Stage::kDone;
  } else if (spooled_ ? spool_.empty() : *request_.content_length() == 0) {
    cgi::fcgi::AppendStreamEnd(records_, Type::kStdin, kId);
    stage_ = filter_ ? Stage::kData : Stage::kDone;
  }
  return true;
}

ssize_t RequestFeed::ReadPiece(char* to, size_t size) {
  if (stage_ == Stage::kData) return request_.ReadData(to, size);
  return spooled_ ? spool_.Read(to, size) : request_.ReadBody(to, size);
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
  const ssize_t got = ReadPiece(content, kPiece);
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
