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

uint16_t Number16(const char* bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

bool IsManagement(Type type) {
  return type == Type::kGetValues || type == Type::kGetValuesResult || type == Type::kUnknownType ||
         type > Type::kUnknownType || type == Type{};
}

}  // namespace

void FcgiReceiver::Reset(const Limits& limits, const Values& values, size_t management) {
  limits_ = &limits;
  values_ = values;
  open_.clear();
  header_have_ = begin_have_ = content_left_ = padding_left_ = 0;
  in_record_ = ignored_ = stop_ = false;
  ignored_bytes_ = 0;
  management_ = management;
  error_ = code_ = nullptr;
}

void FcgiReceiver::Fail(const char* code, const char* error) {
  code_ = code;
  error_ = error;
}

bool FcgiReceiver::idle() const {
  return open_.empty() && header_have_ == 0 && !in_record_ && padding_left_ == 0;
}

FcgiReceiver::Open* FcgiReceiver::Find(uint16_t id) {
  auto found = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.id == id; });
  return found == open_.end() ? nullptr : &*found;
}

void FcgiReceiver::Forget(uint16_t id) {
  std::erase_if(open_, [&](const Open& open) { return open.id == id; });
}

size_t FcgiReceiver::Push(std::string_view in, RequestSink& sink) {
  size_t size = in.size();
  stop_ = false;
  while (error_ == nullptr && !stop_ && !in.empty()) {
    if (in_record_) {
      std::string_view content = in.substr(0, content_left_);
      in.remove_prefix(content.size());
      content_left_ -= content.size();
      if (!content.empty()) TakeContent(content, sink);
      // An answer is not kept back for padding that may come late.
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

void FcgiReceiver::BeginRecord(RequestSink& sink) {
  header_have_ = 0;
  header_ = {static_cast<Type>(bytes_[1]), Number16(bytes_ + 2), Number16(bytes_ + 4),
             static_cast<uint8_t>(bytes_[6])};
  if (static_cast<uint8_t>(bytes_[0]) != kVersion) {
    return Fail("fcgi_bad_version", "a FastCGI record has another version than 1");
  }
  in_record_ = true;
  content_left_ = header_.content;
  padding_left_ = header_.padding;
  begin_have_ = 0;
  ignored_ = false;
  if (header_.id == kManagementId || IsManagement(header_.type)) {
    BeginManagement();
  } else if (header_.type == Type::kBeginRequest) {
    if (header_.content != kBeginBodySize) {
      return Fail("fcgi_bad_record", "BEGIN_REQUEST does not have eight bytes");
    }
    if (Find(header_.id) != nullptr) {
      return Fail("fcgi_bad_record", "BEGIN_REQUEST for a request that is open");
    }
  } else if (Find(header_.id) == nullptr) {
    Ignore();
  } else {
    switch (header_.type) {
      case Type::kParams:
        CheckStream(Phase::kParams, "PARAMS after the parameters had ended");
        break;
      case Type::kStdin:
        // Some web servers send an authorizer an empty STDIN; the specification has none (6.3).
        if (Find(header_.id)->role == Role::kAuthorizer && header_.content == 0) break;
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
  // Records without content end here: there may be no byte behind them for long.
  if (error_ == nullptr && content_left_ == 0) EndRecord(sink);
}

void FcgiReceiver::CheckStream(Phase phase, const char* error) {
  if (Find(header_.id)->phase != phase) Fail("fcgi_bad_record", error);
}

void FcgiReceiver::BeginManagement() {
  if (header_.id != kManagementId) {
    return Fail("fcgi_bad_record", "a management record has a request id");
  }
  if (!IsManagement(header_.type)) {
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
  ignored_bytes_ += kHeaderSize + header_.content;
  if (ignored_bytes_ > limits_->body + limits_->linger_bytes) {
    Fail("fcgi_unknown_request", "too many records of requests that are not open");
  }
}

void FcgiReceiver::TakeContent(std::string_view content, RequestSink& sink) {
  if (ignored_) return;
  switch (header_.type) {
    case Type::kBeginRequest:
      std::memcpy(bytes_ + begin_have_, content.data(), content.size());
      begin_have_ += content.size();
      return;
    case Type::kParams:
      return TakeParams(content, sink);
    case Type::kStdin:
      stop_ = true;
      return sink.OnStdin(header_.id, content);
    case Type::kData:
      stop_ = true;
      return sink.OnData(header_.id, content);
    case Type::kGetValues:
      return TakeGetValues(content);
    default:
      return;  // the content of ABORT_REQUEST and of unknown types means nothing
  }
}

void FcgiReceiver::TakeParams(std::string_view content, RequestSink& sink) {
  PairParser& params = Find(header_.id)->params;
  std::string_view name, value;
  while (params.Next(content, name, value)) sink.OnParam(header_.id, name, value);
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
  in_record_ = false;
  if (ignored_) return;
  switch (header_.type) {
    case Type::kBeginRequest:
      return EndBegin(sink);
    case Type::kParams:
    case Type::kStdin:
    case Type::kData:
      return header_.content == 0 ? EndStream(sink) : void();
    case Type::kAbortRequest:
      stop_ = true;
      return sink.OnAbort(header_.id);
    case Type::kGetValues:
      return EndGetValues(sink);
    default: {
      std::string reply;
      AppendUnknownType(reply, static_cast<uint8_t>(header_.type));
      return sink.OnReply(reply);
    }
  }
}

void FcgiReceiver::EndBegin(RequestSink& sink) {
  uint16_t role = Number16(bytes_);
  bool keep = (static_cast<uint8_t>(bytes_[2]) & kFlagKeepConnection) != 0;
  ProtocolStatus status = ProtocolStatus::kUnknownRole;
  if (role >= 1 && role <= 3) status = sink.OnBegin(header_.id, static_cast<Role>(role), keep);
  if (status == ProtocolStatus::kRequestComplete) {
    management_ = ignored_bytes_ = 0;
    open_.push_back({header_.id, static_cast<Role>(role), Phase::kParams,
                     PairParser(limits_->params_bytes, limits_->params_pairs)});
    return;
  }
  std::string reply;
  AppendEndRequest(reply, header_.id, 0, status);
  sink.OnReply(reply);
  if (!keep && open_.empty()) Fail("fcgi_refused", "a request that cannot be served was refused");
}

void FcgiReceiver::EndStream(RequestSink& sink) {
  Open& open = *Find(header_.id);
  stop_ = true;
  if (header_.type == Type::kParams) {
    if (!open.params.complete()) {
      return Fail("fcgi_bad_record", "the parameters end in the middle of a pair");
    }
    open.phase = open.role == Role::kAuthorizer ? Phase::kComplete : Phase::kStdin;
    return sink.OnParamsEnd(header_.id);
  }
  if (header_.type == Type::kData) {
    open.phase = Phase::kComplete;
    return sink.OnDataEnd(header_.id);
  }
  if (open.role == Role::kAuthorizer) return;
  open.phase = open.role == Role::kFilter ? Phase::kData : Phase::kComplete;
  sink.OnStdinEnd(header_.id);
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
