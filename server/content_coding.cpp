#include "server/content_coding.h"

#include <brotli/encode.h>
#include <zlib.h>

#include <algorithm>
#include <new>
#include <optional>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"

namespace cogi::server {
namespace {

using cgi::TrimWhitespace;
using Then = cgi::ResponseFilter::Then;

constexpr size_t kStep = 16 << 10;

// Window of 128 KiB: pages gain nothing from more, and every encoder that lives keeps it.
constexpr uint32_t kBrotliWindow = 17;

// A weight in thousandths: "q=0.25" is 250. What is no weight counts as 0.
int Weight(std::string_view parameter) {
  parameter = TrimWhitespace(parameter);
  if (parameter.empty()) return 1000;
  if (parameter.size() < 3 || (parameter[0] | 0x20) != 'q' || parameter[1] != '=') return 0;
  parameter.remove_prefix(2);
  if (parameter[0] != '0' && parameter[0] != '1') return 0;
  int weight = (parameter[0] - '0') * 1000;
  int digit = 100;
  for (size_t at = 2; at < parameter.size() && digit > 0; ++at, digit /= 10) {
    if (parameter[1] != '.' || parameter[at] < '0' || parameter[at] > '9') return 0;
    weight += (parameter[at] - '0') * digit;
  }
  return std::min(weight, 1000);
}

class Gzip final : public Encoder {
 public:
  explicit Gzip(uint32_t level) {
    constexpr int kGzipWrapper = 16;
    if (deflateInit2(&stream_, static_cast<int>(level), Z_DEFLATED, MAX_WBITS + kGzipWrapper, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Gzip() override { deflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  bool Encode(std::string_view bytes, Then then, std::string& out) override {
    const int flush = then == Then::kEnd     ? Z_FINISH
                      : then == Then::kFlush ? Z_SYNC_FLUSH
                                             : Z_NO_FLUSH;
    // zlib's interface is not const, but it does not write there.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      const size_t had = out.size();
      out.resize(had + kStep);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + had);
      stream_.avail_out = static_cast<uInt>(kStep);
      const int result = deflate(&stream_, flush);
      out.resize(had + kStep - stream_.avail_out);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return false;
    } while (stream_.avail_out == 0);
    return true;
  }

 private:
  z_stream stream_{};
};

class Brotli final : public Encoder {
 public:
  explicit Brotli(uint32_t level) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) throw std::bad_alloc();
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, level);
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_LGWIN, kBrotliWindow);
  }

  bool Encode(std::string_view bytes, Then then, std::string& out) override {
    const BrotliEncoderOperation operation = then == Then::kEnd     ? BROTLI_OPERATION_FINISH
                                             : then == Then::kFlush ? BROTLI_OPERATION_FLUSH
                                                                    : BROTLI_OPERATION_PROCESS;
    size_t left = bytes.size();
    const auto* next = reinterpret_cast<const uint8_t*>(bytes.data());
    do {
      size_t no_room = 0;
      if (BrotliEncoderCompressStream(state_.get(), operation, &left, &next, &no_room, nullptr,
                                      nullptr) != BROTLI_TRUE)
        return false;
      size_t size = 0;
      const uint8_t* made = BrotliEncoderTakeOutput(state_.get(), &size);
      out.append(reinterpret_cast<const char*>(made), size);
    } while (left > 0 || BrotliEncoderHasMoreOutput(state_.get()) == BROTLI_TRUE);
    return true;
  }

 private:
  struct Free {
    void operator()(BrotliEncoderState* state) const { BrotliEncoderDestroyInstance(state); }
  };
  std::unique_ptr<BrotliEncoderState, Free> state_;
};

}  // namespace

std::string_view NameOf(Coding coding) {
  return coding == Coding::kGzip ? "gzip" : coding == Coding::kBrotli ? "br" : "";
}

std::string_view SuffixOf(Coding coding) {
  return coding == Coding::kGzip ? ".gz" : coding == Coding::kBrotli ? ".br" : "";
}

Accepts ParseAcceptEncoding(std::string_view field) {
  std::optional<int> gzip;
  std::optional<int> brotli;
  std::optional<int> other;
  while (!field.empty()) {
    const size_t comma = std::min(field.find(','), field.size());
    const std::string_view element = field.substr(0, comma);
    field.remove_prefix(std::min(comma + 1, field.size()));
    const size_t semicolon = std::min(element.find(';'), element.size());
    const std::string_view name = TrimWhitespace(element.substr(0, semicolon));
    const int weight = Weight(element.substr(std::min(semicolon + 1, element.size())));
    if (cgi::EqualIgnoringCase(name, "gzip") || cgi::EqualIgnoringCase(name, "x-gzip"))
      gzip = weight;
    if (cgi::EqualIgnoringCase(name, "br")) brotli = weight;
    if (name == "*") other = weight;
  }
  const int for_gzip = gzip.value_or(other.value_or(0));
  const int for_brotli = brotli.value_or(other.value_or(0));
  return {for_gzip > 0, for_brotli > 0, for_gzip > for_brotli};
}

Coding Choose(const Accepts& accepts, bool allow_gzip, bool allow_brotli) {
  const bool gzip = accepts.gzip && allow_gzip;
  const bool brotli = accepts.brotli && allow_brotli;
  if (gzip && (accepts.prefers_gzip || !brotli)) return Coding::kGzip;
  return brotli ? Coding::kBrotli : Coding::kIdentity;
}

std::unique_ptr<Encoder> MakeEncoder(Coding coding, uint32_t level) {
  if (coding == Coding::kBrotli) return std::make_unique<Brotli>(level);
  return std::make_unique<Gzip>(level);
}

}  // namespace cogi::server
