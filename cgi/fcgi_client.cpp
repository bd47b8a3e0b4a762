#include "cgi/fcgi_client.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "cgi/fcgi_encoder.h"
#include "cgi/request.h"

namespace cogi::cgi::fcgi {
namespace {

constexpr std::string_view kMaxConnections = "FCGI_MAX_CONNS";
constexpr std::string_view kMaxRequests = "FCGI_MAX_REQS";
constexpr std::string_view kMultiplexes = "FCGI_MPXS_CONNS";

uint32_t ParseNumber(std::string_view text, uint32_t otherwise) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

}  // namespace

void AppendRequestHead(std::string& out, uint16_t id, Role role, bool keep_connection,
                       const Request& request) {
  AppendBeginRequest(out, id, role, keep_connection);
  std::string pairs;
  request.ForEachVariable([&](std::string_view name, std::string_view value) {
    // FCGI_ROLE is how a web server's own request came, not what it asks.
    if (name != "FCGI_ROLE") AppendPair(pairs, name, value);
  });
  AppendStream(out, Type::kParams, id, pairs);
  AppendStreamEnd(out, Type::kParams, id);
}

void AppendAbortRequest(std::string& out, uint16_t id) {
  AppendStreamEnd(out, Type::kAbortRequest, id);
}

void AppendGetValues(std::string& out) {
  std::string pairs;
  for (std::string_view name : {kMaxConnections, kMaxRequests, kMultiplexes}) {
    AppendPair(pairs, name, {});
  }
  AppendStream(out, Type::kGetValues, kManagementId, pairs);
}

void ResponseReceiver::Reset() {
  auto kept = std::move(open_);
  kept.clear();
  *this = ResponseReceiver();
  open_ = std::move(kept);
}

bool ResponseReceiver::IsOpen(uint16_t id) const {
  return std::find(open_.begin(), open_.end(), id) != open_.end();
}

size_t ResponseReceiver::Push(std::string_view in, ResponseSink& sink) {
  size_t size = in.size();
  stop_ = false;
  while (error_ == nullptr && !stop_ && !in.empty()) {
    if (in_record_) {
      std::string_view content = in.substr(0, content_left_);
      in.remove_prefix(content.size());
      content_left_ -= content.size();
      if (!content.empty()) TakeContent(content, sink);
      if (content_left_ == 0 && error_ == nullptr) EndRecord(sink);
    } else if (padding_left_ > 0) {
      size_t skipped = std::min(padding_left_, in.size());
      in.remove_prefix(skipped);
      padding_left_ -= skipped;
    } else {
      size_t taken = std::min(kHeaderSize - header_have_, in.size());
      std::memcpy(bytes_ + header_have_, in.data(), taken);
      in.remove_prefix(taken);
      header_have_ += taken;
      if (header_have_ == kHeaderSize) BeginRecord(sink);
    }
  }
  return size - in.size();
}

void ResponseReceiver::BeginRecord(ResponseSink& sink) {
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes_[i])); };
  header_have_ = body_have_ = 0;
  type_ = static_cast<Type>(bytes_[1]);
  id_ = static_cast<uint16_t>(byte(2) << 8 | byte(3));
  content_left_ = byte(4) << 8 | byte(5);
  padding_left_ = byte(6);
  in_record_ = true;
  if (byte(0) != kVersion) {
    error_ = "the application sent a record of another version than 1";
    return;
  }
  switch (type_) {
    case Type::kStdout:
    case Type::kStderr:
      if (!IsOpen(id_)) error_ = "the application answered a request that is not open";
      break;
    case Type::kEndRequest:
      if (!IsOpen(id_)) error_ = "the application ended a request that is not open";
      if (content_left_ != kEndBodySize) error_ = "END_REQUEST does not have eight bytes";
      break;
    case Type::kGetValuesResult:
      pairs_ = PairParser(kMaxContent, kMaxContent);
      values_ = Values();
      [[fallthrough]];
    case Type::kUnknownType:
      if (id_ != kManagementId) error_ = "a management record of the application has a request id";
      break;
    default:
      error_ = "the application sent a record that only a web server may send";
  }
  if (error_ == nullptr && content_left_ == 0) EndRecord(sink);
}

void ResponseReceiver::TakeContent(std::string_view content, ResponseSink& sink) {
  switch (type_) {
    case Type::kStdout:
      stop_ = true;
      return sink.OnStdout(id_, content);
    case Type::kStderr:
      stop_ = true;
      return sink.OnStderr(id_, content);
    case Type::kEndRequest:
      std::memcpy(bytes_ + body_have_, content.data(), content.size());
      body_have_ += content.size();
      return;
    case Type::kGetValuesResult:
      return TakeValues(content);
    default:
      return;  // UNKNOWN_TYPE: nothing was asked that could be unknown
  }
}

void ResponseReceiver::TakeValues(std::string_view content) {
  std::string_view name, value;
  while (pairs_.Next(content, name, value)) {
    if (name == kMaxConnections) values_.max_connections = ParseNumber(value, 1);
    if (name == kMaxRequests) values_.max_requests = ParseNumber(value, 1);
    if (name == kMultiplexes) values_.multiplexes = value == "1";
  }
  if (pairs_.error() != nullptr) error_ = "GET_VALUES_RESULT has a malformed pair";
}

void ResponseReceiver::EndRecord(ResponseSink& sink) {
  in_record_ = false;
  if (type_ == Type::kEndRequest) {
    EndRequest(sink);
  } else if (type_ == Type::kGetValuesResult) {
    if (!pairs_.complete()) {
      error_ = "GET_VALUES_RESULT has a malformed pair";
      return;
    }
    stop_ = true;
    sink.OnValues(values_);
  }
}

void ResponseReceiver::EndRequest(ResponseSink& sink) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes_[i])); };
  uint32_t app_status = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
  std::erase(open_, id_);
  stop_ = true;
  sink.OnEnd(id_, app_status, static_cast<ProtocolStatus>(bytes_[4]));
}

}  // namespace cogi::cgi::fcgi
