#include "cgi/fcgi_receiver.h"

#include <algorithm>
#include <cstring>

#include "cgi/fcgi_encoder.h"

namespace cogi::cgi::fcgi {
namespace {

// Records that are lawful to ignore or cheap to ask for are bounded all the same: per request that
// begins, or per rest of the connection.
constexpr size_t kMaxManagement = 1000;

constexpr std::string_view kValueNames[] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};

bool IsManagement(Type type) {
  return type == Type::kGetValues || type == Type::kGetValuesResult || type == Type::kUnknownType ||
         type > Type::kUnknownType || type == Type{};
}

}  // namespace

void FcgiReceiver::Reset(const Limits& limits, const Values& values, size_t management) {
  limits_ = &limits;
  values_ = values;
  open_.clear();
  reader_ = {};
  begin_have_ = 0;
  ignored_ = stop_ = false;
  ignored_bytes_ = 0;
  management_ = management;
  error_ = code_ = nullptr;
}

void FcgiReceiver::Fail(const char* code, const char* error) {
  code_ = code;
  error_ = error;
}

bool FcgiReceiver::idle() const { return open_.empty() && reader_.between_records(); }

FcgiReceiver::Open* FcgiReceiver::Find(uint16_t id) {
  auto found = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.id == id; });
  return found == open_.end() ? nullptr : &*found;
}

void FcgiReceiver::Forget(uint16_t id) {
  std::erase_if(open_, [&](const Open& open) { return open.id == id; });
  // Its end may come in the middle of a record, whose rest is nobody's.
  if (reader_.header().id == id) ignored_ = true;
}

size_t FcgiReceiver::Push(std::string_view in, RequestSink& sink) {
  const size_t size = in.size();
  stop_ = false;
  // An answer is not kept back for padding that may come late, nor the end of a record for its
  // next.
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

void FcgiReceiver::BeginRecord() {
  const RecordReader::Header& header = reader_.header();
  if (header.version != kVersion) {
    return Fail("fcgi_bad_version", "a FastCGI record has another version than 1");
  }
  begin_have_ = 0;
  ignored_ = false;
  if (header.id == kManagementId || IsManagement(header.type)) {
    BeginManagement();
  } else if (header.type == Type::kBeginRequest) {
    if (header.content != kBeginBodySize) {
      return Fail("fcgi_bad_record", "BEGIN_REQUEST does not have eight bytes");
    }
    if (Find(header.id) != nullptr) {
      return Fail("fcgi_bad_record", "BEGIN_REQUEST for a request that is open");
    }
  } else if (Find(header.id) == nullptr) {
    Ignore();
  } else {
    switch (header.type) {
      case Type::kParams:
        CheckStream(Phase::kParams, "PARAMS after the parameters had ended");
        break;
      case Type::kStdin:
        // Some web servers send an authorizer an empty STDIN; the specification has none (6.3).
        if (Find(header.id)->role == Role::kAuthorizer && header.content == 0) break;
        CheckStream(Phase::kStdin, "STDIN before the parameters had ended, or after its own end");
        break;
      case Type::kData:
        CheckStream(Phase::kData, "DATA that is not due");
        break;
      case Type::kAbortRequest:
        break;
      default:
        Fail("fcgi_bad_record", "a record that only an application may send");
    }
  }
}

void FcgiReceiver::CheckStream(Phase phase, const char* error) {
  if (Find(reader_.header().id)->phase != phase) Fail("fcgi_bad_record", error);
}

void FcgiReceiver::BeginManagement() {
  if (reader_.header().id != kManagementId) {
    return Fail("fcgi_bad_record", "a management record has a request id");
  }
  if (!IsManagement(reader_.header().type)) {
    return Fail("fcgi_bad_record", "a record of a request has the id 0");
  }
  if (++management_ > kMaxManagement) {
    return Fail("fcgi_management_flood", "too many management records");
  }
  asked_values_ = 0;
  asked_ = PairParser(kMaxContent, kMaxContent);
}

// Records of requests that are over, or were not taken, are lawful (3.3): as much as a body that
// nobody reads.
void FcgiReceiver::Ignore() {
  ignored_ = true;
  ignored_bytes_ += kHeaderSize + reader_.header().content;
  if (ignored_bytes_ > limits_->body + limits_->linger_bytes) {
    Fail("fcgi_unknown_request", "too many records of requests that are not open");
  }
}

void FcgiReceiver::TakeContent(std::string_view content, RequestSink& sink) {
  if (ignored_) return;
  switch (reader_.header().type) {
    case Type::kBeginRequest:
      std::memcpy(begin_ + begin_have_, content.data(), content.size());
      begin_have_ += content.size();
      return;
    case Type::kParams:
      return TakeParams(content, sink);
    case Type::kStdin:
      stop_ = true;
      return sink.OnStdin(reader_.header().id, content);
    case Type::kData:
      stop_ = true;
      return sink.OnData(reader_.header().id, content);
    case Type::kGetValues:
      return TakeGetValues(content);
    default:
      return;  // the content of ABORT_REQUEST and of unknown types means nothing
  }
}

void FcgiReceiver::TakeParams(std::string_view content, RequestSink& sink) {
  PairParser& params = Find(reader_.header().id)->params;
  std::string_view name, value;
  while (params.Next(content, name, value)) sink.OnParam(reader_.header().id, name, value);
  if (params.error() != nullptr) Fail("fcgi_params_limit", params.error());
}

void FcgiReceiver::TakeGetValues(std::string_view content) {
  std::string_view name, value;
  while (asked_.Next(content, name, value)) {
    for (size_t i = 0; i < std::size(kValueNames); ++i) {
      if (name == kValueNames[i]) asked_values_ |= 1U << i;
    }
  }
  if (asked_.error() != nullptr) Fail("fcgi_bad_record", "GET_VALUES has a malformed pair");
}

void FcgiReceiver::EndRecord(RequestSink& sink) {
  if (ignored_) return;
  switch (reader_.header().type) {
    case Type::kBeginRequest:
      return EndBegin(sink);
    case Type::kParams:
    case Type::kStdin:
    case Type::kData:
      return reader_.header().content == 0 ? EndStream(sink) : void();
    case Type::kAbortRequest:
      stop_ = true;
      return sink.OnAbort(reader_.header().id);
    case Type::kGetValues:
      return EndGetValues(sink);
    default: {
      std::string reply;
      AppendUnknownType(reply, static_cast<uint8_t>(reader_.header().type));
      return sink.OnReply(reply);
    }
  }
}

void FcgiReceiver::EndBegin(RequestSink& sink) {
  const auto byte = [this](size_t i) { return static_cast<uint8_t>(begin_[i]); };
  const auto role = static_cast<uint16_t>(byte(0) << 8 | byte(1));
  const bool keep = (byte(2) & kFlagKeepConnection) != 0;
  ProtocolStatus status = ProtocolStatus::kUnknownRole;
  if (role >= 1 && role <= 3)
    status = sink.OnBegin(reader_.header().id, static_cast<Role>(role), keep);
  if (status == ProtocolStatus::kRequestComplete) {
    management_ = ignored_bytes_ = 0;
    open_.push_back({reader_.header().id, static_cast<Role>(role), Phase::kParams,
                     PairParser(limits_->params_bytes, limits_->params_pairs)});
    return;
  }
  std::string reply;
  AppendEndRequest(reply, reader_.header().id, 0, status);
  sink.OnReply(reply);
  if (!keep && open_.empty()) Fail("fcgi_refused", "a request that cannot be served was refused");
}

void FcgiReceiver::EndStream(RequestSink& sink) {
  Open& open = *Find(reader_.header().id);
  stop_ = true;
  if (reader_.header().type == Type::kParams) {
    if (!open.params.complete()) {
      return Fail("fcgi_bad_record", "the parameters end in the middle of a pair");
    }
    open.phase = open.role == Role::kAuthorizer ? Phase::kComplete : Phase::kStdin;
    return sink.OnParamsEnd(reader_.header().id);
  }
  if (reader_.header().type == Type::kData) {
    open.phase = Phase::kComplete;
    return sink.OnDataEnd(reader_.header().id);
  }
  if (open.role == Role::kAuthorizer) return;
  open.phase = open.role == Role::kFilter ? Phase::kData : Phase::kComplete;
  sink.OnStdinEnd(reader_.header().id);
}

void FcgiReceiver::EndGetValues(RequestSink& sink) {
  if (!asked_.complete()) return Fail("fcgi_bad_record", "GET_VALUES has a malformed pair");
  std::string pairs;
  std::string texts[] = {std::to_string(values_.max_connections),
                         std::to_string(values_.max_requests), values_.multiplexes ? "1" : "0"};
  for (size_t i = 0; i < std::size(kValueNames); ++i) {
    if ((asked_values_ & 1U << i) != 0) AppendPair(pairs, kValueNames[i], texts[i]);
  }
  std::string reply;
  AppendStream(reply, Type::kGetValuesResult, kManagementId, pairs);
  if (pairs.empty()) AppendStreamEnd(reply, Type::kGetValuesResult, kManagementId);
  sink.OnReply(reply);
}

}  // namespace cogi::cgi::fcgi
