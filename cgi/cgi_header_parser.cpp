#include "cgi/cgi_header_parser.h"

#include <algorithm>

#include "cgi/http_syntax.h"
#include "cgi/response.h"

namespace cogi::cgi {
namespace {

// "NNN" or "NNN reason" (RFC 3875 6.3.3).
bool ParseStatus(std::string_view value, int& status, std::string_view& reason) {
  if (value.size() < 3 || !IsDigit(value[0]) || !IsDigit(value[1]) || !IsDigit(value[2])) {
    return false;
  }
  if (value.size() > 3 && value[3] != ' ' && value[3] != '\t') return false;
  status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
  reason = TrimWhitespace(value.substr(3));
  return status >= 200 && status <= 599;
}

bool IsExtension(std::string_view name) {
  constexpr std::string_view kPrefix = "x-cgi-";
  return name.size() > kPrefix.size() && EqualIgnoringCase(name.substr(0, kPrefix.size()), kPrefix);
}

}  // namespace

void CgiHeaderParser::Reset() {
  state_ = State::kMore;
  form_ = Form::kDocument;
  has_status_ = false;
  first_line_ = true;
  status_ = 200;
  header_bytes_ = 0;
  error_ = "";
  line_.clear();
  reason_.clear();
  location_.clear();
  content_length_.reset();
  fields_.Clear();
}

void CgiHeaderParser::Fail(const char* error) {
  state_ = State::kBad;
  error_ = error;
}

size_t CgiHeaderParser::Push(std::string_view bytes) {
  size_t used = 0;
  while (state_ == State::kMore && used < bytes.size()) {
    size_t end = bytes.find('\n', used);
    bool whole = end != std::string_view::npos;
    std::string_view part = bytes.substr(used, whole ? end - used : end);
    used += part.size() + (whole ? 1 : 0);
    header_bytes_ += part.size() + (whole ? 1 : 0);
    if (header_bytes_ > kMaxHeader) {
      Fail("the program's header is too large");
    } else if (!whole) {
      line_ += part;
    } else if (line_.empty()) {
      TakeLine(part);
    } else {
      line_ += part;
      TakeLine(line_);
      line_.clear();
    }
  }
  return used;
}

void CgiHeaderParser::Finish() {
  if (state_ != State::kMore) return;
  Fail(header_bytes_ == 0 ? "the program gave no output"
                          : "the program's output ended in the middle of its header");
}

void CgiHeaderParser::TakeLine(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) return Complete();
  bool first = first_line_;
  first_line_ = false;
  if (line.front() == ' ' || line.front() == '\t') {
    return Fail("a line of the program's header begins with whitespace");
  }
  // What programs say that expect to speak to the client themselves (RFC 3875 5).
  if (first && line.starts_with("HTTP/") && line.find(' ') != std::string_view::npos) {
    return TakeStatus(TrimWhitespace(line.substr(line.find(' '))));
  }
  size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Fail("a line of the program's header has no colon");
  std::string_view name = line.substr(0, colon);
  std::string_view value = TrimWhitespace(line.substr(colon + 1));
  if (!IsToken(name)) return Fail("a field name in the program's header is no token");
  if (!IsFieldValue(value)) return Fail("a field in the program's header has a control character");
  TakeField(name, value);
}

void CgiHeaderParser::TakeField(std::string_view name, std::string_view value) {
  if (EqualIgnoringCase(name, "status")) return TakeStatus(value);
  if (EqualIgnoringCase(name, "location")) {
    if (!location_.empty()) return Fail("the program's header has two Location fields");
    if (value.empty()) return Fail("the Location of the program's header is empty");
    location_ = value;
    return;
  }
  if (EqualIgnoringCase(name, "content-length")) {
    if (content_length_) return Fail("the program's header has two Content-Length fields");
    content_length_ = ParseLength(value);
    if (!content_length_) return Fail("the Content-Length of the program's header is no number");
  }
  if (EqualIgnoringCase(name, "content-type") && fields_.FindIgnoringCase(name)) {
    return Fail("the program's header has two Content-Type fields");
  }
  if (fields_.size() == kMaxFields) return Fail("the program's header has too many fields");
  if (!IsHopByHop(name) && !IsExtension(name)) fields_.Add(name, value);
}

void CgiHeaderParser::TakeStatus(std::string_view value) {
  std::string_view reason;
  if (has_status_) return Fail("the program's header has two Status fields");
  if (!ParseStatus(value, status_, reason)) {
    return Fail("the Status of the program's header is not a number from 200 to 599");
  }
  if (!IsFieldValue(reason)) return Fail("the Status of the program has a control character");
  has_status_ = true;
  reason_ = reason;
}

// The form that the fields make (RFC 3875 6.2).
void CgiHeaderParser::Complete() {
  state_ = State::kDone;
  if (location_.empty()) {
    if (fields_.empty() && !has_status_) Fail("the program's header has no field");
    return;
  }
  if (location_.front() == '/' && !location_.starts_with("//") && !has_status_) {
    // With other fields than Location it is what programs mean by a relative redirect.
    form_ = fields_.empty() ? Form::kLocalRedirect : Form::kClientRedirect;
  } else {
    form_ = Form::kClientRedirect;
  }
  if (form_ == Form::kClientRedirect) {
    fields_.Add("Location", location_);
    if (!has_status_) status_ = 302;
  }
}

void CgiHeaderParser::ApplyTo(Response& response) const {
  response.SetStatus(status_, reason_);
  for (size_t i = 0; i < fields_.size(); ++i) {
    response.AddHeader(fields_[i].name, fields_[i].value);
  }
}

}  // namespace cogi::cgi
