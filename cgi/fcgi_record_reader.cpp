#include "cgi/fcgi_record_reader.h"

#include <algorithm>
#include <cstring>

namespace cogi::cgi::fcgi {
namespace {

uint16_t Number16(const char* bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

}  // namespace

RecordReader::Part RecordReader::Next(std::string_view& in, std::string_view* content) {
  if (ending()) {
    in_record_ = false;
    return Part::kEnd;
  }
  if (in_record_) {
    *content = in.substr(0, content_left_);
    in.remove_prefix(content->size());
    content_left_ = static_cast<uint16_t>(content_left_ - content->size());
    return content->empty() ? Part::kNone : Part::kContent;
  }
  const size_t skipped = std::min<size_t>(padding_left_, in.size());
  in.remove_prefix(skipped);
  padding_left_ = static_cast<uint16_t>(padding_left_ - skipped);
  const size_t taken = std::min<size_t>(kHeaderSize - have_, in.size());
  std::memcpy(bytes_ + have_, in.data(), taken);
  in.remove_prefix(taken);
  have_ = static_cast<uint8_t>(have_ + taken);
  if (have_ < kHeaderSize) return Part::kNone;
  TakeHeader();
  return Part::kHeader;
}

void RecordReader::TakeHeader() {
  header_ = {static_cast<uint8_t>(bytes_[0]), static_cast<Type>(bytes_[1]), Number16(bytes_ + 2),
             Number16(bytes_ + 4), static_cast<uint8_t>(bytes_[6])};
  have_ = 0;
  content_left_ = header_.content;
  padding_left_ = header_.padding;
  in_record_ = true;
}

}  // namespace cogi::cgi::fcgi
