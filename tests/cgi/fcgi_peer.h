// The web server's side of FastCGI for tests: requests made of records, answers taken apart.
#ifndef COGI_TESTS_CGI_FCGI_PEER_H_
#define COGI_TESTS_CGI_FCGI_PEER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/fcgi_encoder.h"

namespace cogi::cgi::fcgi {

using Params = std::vector<std::pair<std::string, std::string>>;

inline std::string Record(uint8_t version, uint8_t type, uint16_t id, std::string_view content,
                          uint8_t padding = 0, char fill = '\0') {
  std::string record(kHeaderSize, '\0');
  PutHeader(record.data(), static_cast<Type>(type), id, static_cast<uint16_t>(content.size()),
            padding);
  record[0] = static_cast<char>(version);
  return record.append(content).append(padding, fill);
}
inline std::string Record(Type type, uint16_t id, std::string_view content, uint8_t padding = 0) {
  return Record(kVersion, static_cast<uint8_t>(type), id, content, padding);
}

inline std::string Begin(uint16_t id, bool keep, Role role = Role::kResponder) {
  std::string out;
  AppendBeginRequest(out, id, role, keep);
  return out;
}
inline std::string ParamBytes(const Params& params) {
  std::string bytes;
  for (const auto& [name, value] : params) AppendPair(bytes, name, value);
  return bytes;
}
inline std::string ParamRecords(uint16_t id, const Params& params) {
  std::string out;
  AppendStream(out, Type::kParams, id, ParamBytes(params));
  AppendStreamEnd(out, Type::kParams, id);
  return out;
}
inline std::string StdinRecords(uint16_t id, std::string_view body) {
  std::string out;
  AppendStream(out, Type::kStdin, id, body);
  AppendStreamEnd(out, Type::kStdin, id);
  return out;
}

inline Params GetParams(const std::string& uri = "/hello") {
  return {{"REQUEST_METHOD", "GET"},
          {"REQUEST_URI", uri},
          {"SCRIPT_NAME", uri},
          {"QUERY_STRING", ""},
          {"CONTENT_LENGTH", ""}};
}
inline Params PostParams(size_t length) {
  return {{"REQUEST_METHOD", "POST"},
          {"SCRIPT_NAME", "/post"},
          {"CONTENT_LENGTH", std::to_string(length)}};
}

// A whole request.
inline std::string GetRequest(uint16_t id, bool keep) {
  return Begin(id, keep) + ParamRecords(id, GetParams()) + StdinRecords(id, "");
}
inline std::string PostRequest(uint16_t id, bool keep, std::string_view body) {
  return Begin(id, keep) + ParamRecords(id, PostParams(body.size())) + StdinRecords(id, body);
}

// What came back.
struct Answer {
  std::string out;
  bool out_ended = false;
  int ends = 0;
  int protocol_status = -1;
};
struct Answers {
  std::map<uint16_t, Answer> requests;
  std::vector<std::pair<uint8_t, std::string>> management;  // type and content
  std::string error;                                        // of the records themselves
};

// Parse() takes answers apart and checks what every record must keep: known length, zeroed padding,
// nothing of a request after its END_REQUEST.
inline Answers Parse(std::string_view bytes) {
  Answers answers;
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[i])); };
  while (!bytes.empty()) {
    if (bytes.size() < kHeaderSize) return answers.error = "a truncated header", answers;
    auto type = static_cast<Type>(bytes[1]);
    auto id = static_cast<uint16_t>(byte(2) << 8 | byte(3));
    size_t content = byte(4) << 8 | byte(5), padding = byte(6);
    if (byte(0) != kVersion) return answers.error = "another version", answers;
    if (bytes.size() < kHeaderSize + content + padding) {
      return answers.error = "a truncated record", answers;
    }
    std::string body(bytes.substr(kHeaderSize, content));
    std::string pad(bytes.substr(kHeaderSize + content, padding));
    if (pad.find_first_not_of('\0') != std::string::npos) answers.error = "padding is not zeroed";
    bytes.remove_prefix(kHeaderSize + content + padding);
    if (id == kManagementId) {
      answers.management.emplace_back(static_cast<uint8_t>(type), body);
      continue;
    }
    Answer& answer = answers.requests[id];
    if (answer.ends > 0) answers.error = "a record after END_REQUEST";
    if (type == Type::kStdout) {
      if (answer.out_ended) answers.error = "STDOUT after its end";
      answer.out += body;
      answer.out_ended = body.empty();
    } else if (type == Type::kEndRequest) {
      ++answer.ends;
      answer.protocol_status = static_cast<uint8_t>(body.at(4));
    } else {
      answers.error = "a record that no application sends";
    }
  }
  return answers;
}

}  // namespace cogi::cgi::fcgi

#endif  // COGI_TESTS_CGI_FCGI_PEER_H_
