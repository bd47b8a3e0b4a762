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
  const size_t size = in.size();
  stop_ = false;
  while (error_ == nullptr && (reader_.ending() || (!stop_ && !in.empty()))) {
    std::string_view content;
    switch (reader_.Next(in, &content)) {
      case RecordReader::Part::kNone:
        break;
      case RecordReader::Part::kHeader:
        BeginRecord();
        break;
      case RecordReader::Part::kContent:
        TakeContent(content, sink);
        break;
      case RecordReader::Part::kEnd:
        EndRecord(sink);
        break;
    }
  }
  return size - in.size();
}

void ResponseReceiver::BeginRecord() {
  const RecordReader::Header& header = reader_.header();
  end_have_ = 0;
  if (header.version != kVersion) {
    error_ = "the application sent a record of another version than 1";
    return;
  }
  switch (header.type) {
    case Type::kStdout:
    case Type::kStderr:
      if (!IsOpen(header.id)) error_ = "the application answered a request that is not open";
      break;
    case Type::kEndRequest:
      if (!IsOpen(header.id)) error_ = "the application ended a request that is not open";
      if (header.content != kEndBodySize) error_ = "END_REQUEST does not have eight bytes";
      break;
    case Type::kGetValuesResult:
      pairs_ = PairParser(kMaxContent, kMaxContent);
      values_ = Values();
      [[fallthrough]];
    case Type::kUnknownType:
      if (header.id != kManagementId)
        error_ = "a management record of the application has a request id";
      break;
    default:
      error_ = "the application sent a record that only a web server may send";
  }
}

void ResponseReceiver::TakeContent(std::string_view content, ResponseSink& sink) {
  switch (reader_.header().type) {
    case Type::kStdout:
      stop_ = true;
      return sink.OnStdout(reader_.header().id, content);
    case Type::kStderr:
      stop_ = true;
      return sink.OnStderr(reader_.header().id, content);
    case Type::kEndRequest:
      std::memcpy(end_ + end_have_, content.data(), content.size());
      end_have_ += content.size();
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
  if (reader_.header().type == Type::kEndRequest) {
    EndRequest(sink);
  } else if (reader_.header().type == Type::kGetValuesResult) {
    if (!pairs_.complete()) {
      error_ = "GET_VALUES_RESULT has a malformed pair";
      return;
    }
    stop_ = true;
    sink.OnValues(values_);
  }
}

void ResponseReceiver::EndRequest(ResponseSink& sink) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(end_[i])); };
  uint32_t app_status = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
  std::erase(open_, reader_.header().id);
  stop_ = true;
  sink.OnEnd(reader_.header().id, app_status, static_cast<ProtocolStatus>(end_[4]));
}

}  // namespace cogi::cgi::fcgi
