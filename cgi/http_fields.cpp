#include "cgi/http_fields.h"

#define BOOST_BEAST_USE_STD_STRING_VIEW
#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

// Names that become a meta-variable without loss: with "_" two names could become one variable.
bool IsPlainName(std::string_view name) {
  for (char c : name) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '-') return false;
  }
  return true;
}

// A comma-separated list (RFC 9110 5.6.1): calls `visit` for each element that is not empty.
template <typename Visit>
void ForEachElement(std::string_view list, Visit visit) {
  while (!list.empty()) {
    size_t comma = std::min(list.find(','), list.size());
    std::string_view element = TrimWhitespace(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (!element.empty()) visit(element);
  }
}

// "Transfer_Encoding", "Content.Length": some servers read such a name as the one that it looks
// like.
bool LooksLikeFraming(std::string_view name) {
  for (std::string_view framing : {"content-length", "transfer-encoding"}) {
    if (name.size() != framing.size()) continue;
    bool alike = true;
    for (size_t i = 0; i < name.size(); ++i)
      alike = alike && (framing[i] == '-' ? !IsAlpha(name[i]) : (name[i] | 0x20) == framing[i]);
    if (alike) return true;
  }
  return false;
}

class Parser final : public http::basic_parser<true> {
 public:
  Parser(std::string_view bytes, HttpHead& head) : bytes_(bytes), head_(head) {
    body_limit(boost::none);
    header_limit(static_cast<uint32_t>(bytes.size()));
    skip(true);  // ends after the header: the body is read by our own code
  }

  HttpError Run(size_t begin) {
    error_code ec;
    put(boost::asio::const_buffer(bytes_.data() + begin, bytes_.size() - begin), ec);
    if (error_.status != 0) return error_;
    if (ec) return Translate(ec, begin);
    if (!is_done()) return {400, "bad_header", "the header block is not complete"};
    Conclude();
    return error_;
  }

 private:
  HttpHead::Text Text(string_view view) const {
    return {static_cast<uint32_t>(view.data() - bytes_.data()), static_cast<uint32_t>(view.size())};
  }

  void Fail(error_code& ec, int status, const char* code, const char* reason) {
    error_ = {status, code, reason};
    ec = http::error::bad_value;  // any error ends the parse; error_ is what counts
  }

  HttpError Translate(error_code ec, size_t begin) const;
  void Conclude();
  void TakeContentLength(error_code& ec, std::string_view value);
  void TakeTransferEncoding(error_code& ec, std::string_view value);
  void TakeConnection(std::string_view value);
  void TakeExpect(error_code& ec, std::string_view value);
  // Once() refuses a second field of a kind of which one request has one.
  void Once(error_code& ec, bool& seen);

  void on_request_impl(http::verb method, string_view method_text, string_view target, int version,
                       error_code&) override {
    head_.method = Text(method_text);
    head_.target = Text(target);
    // QUERY is younger than this Boost.
    head_.known_method = method != http::verb::unknown || method_text == "QUERY";
    head_.minor_version = static_cast<uint8_t>(version % 10);
    head_.keep_alive = version == 11;
  }
  void on_field_impl(http::field field, string_view name, string_view value,
                     error_code& ec) override;
  void on_header_impl(error_code&) override {}
  // The parser skips bodies, so these are never called; they must exist.
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  std::string_view bytes_;
  HttpHead& head_;
  HttpError error_;
  bool close_ = false;
  bool keep_ = false;
  bool transfer_encoding_ = false;
  bool content_type_ = false;
  bool authorization_ = false;
  bool expect_ = false;
};

// Beast has one error for "no version" and "another version"; the answers differ (400, 505).
HttpError Parser::Translate(error_code ec, size_t begin) const {
  if (ec == http::error::bad_version) {
    std::string_view line = bytes_.substr(begin, bytes_.find('\r', begin) - begin);
    std::string_view end = line.substr(line.size() - std::min<size_t>(line.size(), 9));
    bool three_parts = std::count(line.begin(), line.end(), ' ') == 2;
    if (three_parts && end.size() == 9 && end.starts_with(" HTTP/") && IsDigit(end[6]) &&
        end[7] == '.' && IsDigit(end[8])) {
      return {505, "bad_version", "the HTTP version is not 1.0 or 1.1"};
    }
    return {400, "bad_request_line", "the request line does not end in an HTTP version"};
  }
  if (ec == http::error::bad_method) {
    return {400, "bad_request_line", "the method of the request is no token"};
  }
  if (ec == http::error::bad_target) {
    return {400, "bad_request_line", "the request target is empty or has an unlawful character"};
  }
  if (ec == http::error::need_more) {
    return {400, "bad_request_line", "the request line is not complete"};
  }
  if (ec == http::error::bad_field) {
    return {400, "bad_header",
            "a header line has no name, no colon or whitespace before the colon"};
  }
  if (ec == http::error::bad_content_length) {
    return {400, "bad_framing",
            "Content-Length is not one number, or Transfer-Encoding is there too"};
  }
  if (ec == http::error::bad_transfer_encoding) {
    return {400, "bad_framing", "Transfer-Encoding is repeated, or Content-Length is there too"};
  }
  return {400, "bad_header", "the header block is malformed"};
}

void Parser::Once(error_code& ec, bool& seen) {
  if (seen) Fail(ec, 400, "repeated_header", "a header field that may come once came twice");
  seen = true;
}

void Parser::on_field_impl(http::field field, string_view name, string_view value, error_code& ec) {
  FieldKind kind = FieldKind::kOther;
  switch (field) {
    case http::field::host:
      kind = FieldKind::kHost;
      head_.host = Text(value);
      Once(ec, head_.has_host);
      break;
    case http::field::content_length:
      kind = FieldKind::kContentLength;
      TakeContentLength(ec, value);
      break;
    case http::field::transfer_encoding:
      kind = FieldKind::kHopByHop;
      TakeTransferEncoding(ec, value);
      break;
    case http::field::connection:
      kind = FieldKind::kHopByHop;
      TakeConnection(value);
      break;
    case http::field::expect:
      kind = FieldKind::kExpect;
      TakeExpect(ec, value);
      break;
    case http::field::content_type:
      kind = FieldKind::kContentType;
      Once(ec, content_type_);
      break;
    case http::field::authorization:
      kind = FieldKind::kCredentials;
      Once(ec, authorization_);
      break;
    case http::field::proxy_authorization:
      kind = FieldKind::kCredentials;
      break;
    case http::field::cookie:
      kind = FieldKind::kCookie;
      break;
    case http::field::keep_alive:
    case http::field::proxy_connection:
    case http::field::te:
    case http::field::trailer:
    case http::field::upgrade:
      kind = FieldKind::kHopByHop;
      break;
    case http::field::unknown:
      // "Proxy" would become HTTP_PROXY (CVE-2016-5385).
      if (!IsPlainName(name) || EqualIgnoringCase(name, "proxy")) kind = FieldKind::kUnsafe;
      if (kind == FieldKind::kUnsafe && LooksLikeFraming(name))
        Fail(ec, 400, "bad_framing", "a field is named almost like one that frames the request");
      break;
    default:
      break;
  }
  head_.fields.push_back({Text(name), Text(value), kind});
}

void Parser::TakeContentLength(error_code& ec, std::string_view value) {
  if (head_.content_length) {
    return Fail(ec, 400, "bad_framing", "Content-Length is repeated");
  }
  head_.content_length = ParseLength(value);
  if (!head_.content_length) Fail(ec, 400, "bad_framing", "Content-Length is not one number");
}

// Only the one token "chunked" frames a request (RFC 9112 6.1, 6.3): after another coding, or in
// another spelling, two servers could disagree on where the request ends.
void Parser::TakeTransferEncoding(error_code& ec, std::string_view value) {
  if (transfer_encoding_) return Fail(ec, 400, "bad_framing", "Transfer-Encoding is repeated");
  transfer_encoding_ = true;
  if (head_.minor_version == 0) {
    return Fail(ec, 400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding");
  }
  if (EqualIgnoringCase(value, "chunked")) {
    head_.chunked = true;
    return;
  }
  size_t codings = 0, chunked = 0;
  std::string_view last;
  bool tokens = true;
  ForEachElement(value, [&](std::string_view coding) {
    ++codings;
    if (EqualIgnoringCase(coding, "chunked")) ++chunked;
    tokens = tokens && IsToken(coding);
    last = coding;
  });
  if (tokens && codings > 1 && chunked == 1 && EqualIgnoringCase(last, "chunked")) {
    return Fail(ec, 501, "unknown_coding",
                "a transfer coding other than chunked is not known here");
  }
  Fail(ec, 400, "bad_framing", "Transfer-Encoding is not exactly chunked");
}

void Parser::TakeConnection(std::string_view value) {
  ForEachElement(value, [&](std::string_view option) {
    if (EqualIgnoringCase(option, "close")) close_ = true;
    if (EqualIgnoringCase(option, "keep-alive")) keep_ = true;
  });
}

void Parser::TakeExpect(error_code& ec, std::string_view value) {
  if (expect_ || !EqualIgnoringCase(value, "100-continue")) {
    return Fail(ec, 417, "bad_expectation", "an expectation other than 100-continue cannot be met");
  }
  expect_ = true;
  head_.expect_continue = head_.minor_version > 0;  // RFC 9110 10.1.1: ignored from HTTP/1.0
}

void Parser::Conclude() {
  if (head_.chunked && head_.content_length) {
    error_ = {400, "bad_framing", "Content-Length and Transfer-Encoding in one request"};
  }
  if (keep_) head_.keep_alive = true;
  if (close_) head_.keep_alive = false;
}

}  // namespace

HttpError ParseHead(std::string_view bytes, size_t begin, HttpHead& head) {
  return Parser(bytes, head).Run(begin);
}

}  // namespace cogi::cgi
