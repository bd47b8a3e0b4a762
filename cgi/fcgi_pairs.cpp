#include "cgi/fcgi_pairs.h"

#include <algorithm>
#include <cstdint>

#include "cgi/fcgi_record.h"

namespace cogi::cgi::fcgi {
namespace {

constexpr size_t kMaxLengths = 4 + 4;

// Reads one length field at `at`; false if it is not complete. Advances `at`.
bool TakeLength(std::string_view bytes, size_t& at, size_t& length) {
  if (at >= bytes.size()) return false;
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[at + i])); };
  if (byte(0) <= kShortLengthMax) {
    length = byte(0);
    at += 1;
    return true;
  }
  if (bytes.size() - at < 4) return false;
  length = (byte(0) & 0x7f) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
  at += 4;
  return true;
}

}  // namespace

bool PairParser::Fail(const char* error) {
  error_ = error;
  return false;
}

bool PairParser::Next(std::string_view& in, std::string_view& name, std::string_view& value) {
  // The usual case: both lengths in one byte each, and the whole pair there.
  if (in.size() >= 2 && partial_.empty() && pairs_left_ > 0 && error_ == nullptr) {
    const size_t name_size = static_cast<uint8_t>(in[0]), value_size = static_cast<uint8_t>(in[1]);
    const size_t total = 2 + name_size + value_size;
    if (name_size <= kShortLengthMax && value_size <= kShortLengthMax && total <= in.size() &&
        total <= bytes_left_) {
      bytes_left_ -= total;
      --pairs_left_;
      name = {in.data() + 2, name_size};
      value = {in.data() + 2 + name_size, value_size};
      in.remove_prefix(total);
      return true;
    }
  }
  return NextOfAnyKind(in, name, value);
}

bool PairParser::NextOfAnyKind(std::string_view& in, std::string_view& name,
                               std::string_view& value) {
  if (handed_out_) {
    partial_.clear();
    handed_out_ = false;
  }
  if (error_ != nullptr || in.empty()) return false;
  // The length fields: from `in` alone, or from what was kept and the first bytes of `in`.
  size_t kept = partial_.size();
  char joined[kMaxLengths];
  std::string_view lengths = in;
  if (kept > 0) {
    size_t size = std::string_view(partial_).copy(joined, kMaxLengths);
    size += in.copy(joined + size, kMaxLengths - size);
    lengths = {joined, size};
  }
  size_t head = 0, name_size = 0, value_size = 0;
  if (!TakeLength(lengths, head, name_size) || !TakeLength(lengths, head, value_size)) {
    partial_.append(in);  // fewer than kMaxLengths bytes
    in = {};
    return false;
  }
  size_t total = head + name_size + value_size;
  if (pairs_left_ == 0) return Fail("there are too many parameters");
  if (total > bytes_left_) return Fail("the parameters are too large");
  std::string_view pair;
  if (kept == 0 && in.size() >= total) {
    pair = in.substr(0, total);
    in.remove_prefix(total);
  } else {
    size_t taken = std::min(in.size(), total - kept);
    partial_.append(in.substr(0, taken));
    in.remove_prefix(taken);
    if (partial_.size() < total) return false;
    pair = partial_;
    handed_out_ = true;
  }
  bytes_left_ -= total;
  --pairs_left_;
  name = pair.substr(head, name_size);
  value = pair.substr(head + name_size, value_size);
  return true;
}

}  // namespace cogi::cgi::fcgi
