#include "cgi/fcgi_encoder.h"

#include <algorithm>

namespace cogi::cgi::fcgi {
namespace {

constexpr char kZeros[kAlignment] = {};

// Full records have a multiple of eight bytes, so that they need no padding.
constexpr size_t kFullRecord = kMaxContent / kAlignment * kAlignment;

// Records and pieces for one write.
constexpr int kMaxPieces = 64;
constexpr int kMaxHeaders = 16;

void AppendHeader(std::string& out, Type type, uint16_t id, size_t content) {
  char header[kHeaderSize];
  PutHeader(header, type, id, static_cast<uint16_t>(content), PaddingFor(content));
  out.append(header, sizeof header);
}

void AppendLength(std::string& out, size_t length) {
  if (length <= kShortLengthMax) {
    out.push_back(static_cast<char>(length));
    return;
  }
  out.push_back(static_cast<char>(0x80 | (length >> 24 & 0x7f)));
  for (int shift : {16, 8, 0}) out.push_back(static_cast<char>(length >> shift & 0xff));
}

// A write that is being put together.
class Batch {
 public:
  explicit Batch(ByteStream& stream) : stream_(stream) {}

  void Add(std::string_view bytes) {
    if (bytes.empty()) return;
    pieces_[count_++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  char* NewHeader() { return headers_[header_count_++]; }
  // Full() is true when another record of `pieces` pieces would not fit.
  [[nodiscard]] bool Full(size_t pieces) const {
    return header_count_ == kMaxHeaders || count_ + static_cast<int>(pieces) + 3 > kMaxPieces;
  }
  [[nodiscard]] bool Flush() {
    int count = count_;
    count_ = header_count_ = 0;
    return count == 0 || stream_.Write(pieces_, count);
  }

 private:
  ByteStream& stream_;
  int count_ = 0;
  int header_count_ = 0;
  iovec pieces_[kMaxPieces];
  char headers_[kMaxHeaders][kHeaderSize];
};

}  // namespace

void PutHeader(char* out, Type type, uint16_t id, uint16_t content, uint8_t padding) {
  out[0] = static_cast<char>(kVersion);
  out[1] = static_cast<char>(type);
  out[2] = static_cast<char>(id >> 8);
  out[3] = static_cast<char>(id & 0xff);
  out[4] = static_cast<char>(content >> 8);
  out[5] = static_cast<char>(content & 0xff);
  out[6] = static_cast<char>(padding);
  out[7] = 0;
}

void AppendEndRequest(std::string& out, uint16_t id, uint32_t app_status, ProtocolStatus status) {
  AppendHeader(out, Type::kEndRequest, id, kEndBodySize);
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(app_status >> shift & 0xff));
  out.push_back(static_cast<char>(status));
  out.append(3, '\0');
}

void AppendUnknownType(std::string& out, uint8_t type) {
  AppendHeader(out, Type::kUnknownType, kManagementId, kUnknownTypeBodySize);
  out.push_back(static_cast<char>(type));
  out.append(7, '\0');
}

void AppendBeginRequest(std::string& out, uint16_t id, Role role, bool keep_connection) {
  AppendHeader(out, Type::kBeginRequest, id, kBeginBodySize);
  out.push_back(static_cast<char>(static_cast<uint16_t>(role) >> 8));
  out.push_back(static_cast<char>(static_cast<uint16_t>(role) & 0xff));
  out.push_back(static_cast<char>(keep_connection ? kFlagKeepConnection : 0));
  out.append(5, '\0');
}

void AppendStream(std::string& out, Type type, uint16_t id, std::string_view bytes) {
  while (!bytes.empty()) {
    std::string_view content = bytes.substr(0, kFullRecord);
    bytes.remove_prefix(content.size());
    AppendHeader(out, type, id, content.size());
    out.append(content);
    out.append(PaddingFor(content.size()), '\0');
  }
}

void AppendStreamEnd(std::string& out, Type type, uint16_t id) { AppendHeader(out, type, id, 0); }

void AppendPair(std::string& out, std::string_view name, std::string_view value) {
  AppendLength(out, name.size());
  AppendLength(out, value.size());
  out.append(name).append(value);
}

bool WriteStream(ByteStream& stream, Type type, uint16_t id,
                 std::span<const std::string_view> pieces, std::string_view after) {
  size_t left = 0, offset = 0;  // bytes of all pieces; bytes used of the first piece
  for (std::string_view piece : pieces) left += piece.size();
  Batch batch(stream);
  while (left > 0) {
    if (batch.Full(pieces.size()) && !batch.Flush()) return false;
    size_t content = std::min(left, kFullRecord);
    left -= content;
    char* header = batch.NewHeader();
    PutHeader(header, type, id, static_cast<uint16_t>(content), PaddingFor(content));
    batch.Add({header, kHeaderSize});
    std::string_view padding(kZeros, PaddingFor(content));
    while (content > 0) {
      std::string_view part = pieces.front().substr(offset, content);
      batch.Add(part);
      content -= part.size();
      offset += part.size();
      if (offset == pieces.front().size()) {
        pieces = pieces.subspan(1);
        offset = 0;
      }
    }
    batch.Add(padding);
  }
  batch.Add(after);
  return batch.Flush();
}

}  // namespace cogi::cgi::fcgi
