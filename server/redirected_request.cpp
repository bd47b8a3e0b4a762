#include "server/redirected_request.h"

#include <algorithm>
#include <vector>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// Decodes `encoded` once and takes "." and ".." out. False: no lawful path.
bool DecodePath(std::string_view encoded, std::string& path) {
  std::string decoded;
  for (size_t at = 0; at < encoded.size(); ++at) {
    char character = encoded[at];
    if (character == '%') {
      if (at + 2 >= encoded.size()) return false;
      const int high = cgi::HexValue(encoded[at + 1]);
      const int low = cgi::HexValue(encoded[at + 2]);
      if (high < 0 || low < 0) return false;
      character = static_cast<char>(high << 4 | low);
      at += 2;
    }
    if (static_cast<unsigned char>(character) < 0x20 || character == 0x7f) return false;
    decoded += character;
  }
  std::vector<std::string_view> segments;
  std::string_view rest = decoded;
  bool directory = true;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, slash);
    directory = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (segments.empty()) return false;
      segments.pop_back();
    } else if (!directory) {
      segments.push_back(segment);
    }
    rest.remove_prefix(slash);
  }
  for (const std::string_view segment : segments) path += Concat("/", segment);
  if (directory || segments.empty()) path += '/';
  return true;
}

}  // namespace

RedirectedRequest::RedirectedRequest(cgi::Request& original, std::string_view location, Kind kind)
    : original_(original), kind_(kind), hops_(HopsOf(original) + 1), target_(location) {
  const size_t question = location.find('?');
  if (question != std::string_view::npos) {
    query_ = location.substr(question + 1);
  } else if (kind == Kind::kRewrite) {
    query_ = original.query();
  }
  const std::string_view encoded = location.substr(0, question);
  valid_ = encoded.starts_with('/') && DecodePath(encoded, path_);
  set_id(std::string(original.id()));
  set_deadline(original.deadline());
  // What the program that redirected was asked, as Apache names it.
  for (const std::string_view name : {"QUERY_STRING", "REQUEST_METHOD"})
    if (const auto value = original.Variable(name)) SetVariable(Concat("REDIRECT_", name), *value);
  SetVariable("REDIRECT_URL", original.path());
  SetVariable("REDIRECT_HOPS", Concat(hops_));
  SetVariable("QUERY_STRING", query_);
  for (const std::string_view name :
       {"PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME", "SCRIPT_FILENAME"})
    UnsetVariable(name);
  if (kind == Kind::kRedirect) ForgetBody();
}

void RedirectedRequest::ForgetBody() {
  SetVariable("REQUEST_METHOD", "GET");
  UnsetVariable("CONTENT_LENGTH");
  UnsetVariable("CONTENT_TYPE");
}

uint32_t RedirectedRequest::HopsOf(const cgi::Request& request) {
  const auto* redirected = dynamic_cast<const RedirectedRequest*>(&request);
  return redirected == nullptr ? 0 : redirected->hops_;
}

std::string_view RedirectedRequest::Header(std::string_view name) const {
  if (kind_ == Kind::kRewrite) return original_.Header(name);
  if (cgi::EqualIgnoringCase(name, "Content-Length") ||
      cgi::EqualIgnoringCase(name, "Content-Type"))
    return {};
  return original_.Header(name);
}

std::optional<std::string_view> RedirectedRequest::Variable(std::string_view name) const {
  const auto found = changed_.find(name);
  if (found == changed_.end()) return original_.Variable(name);
  return found->second ? std::optional<std::string_view>(*found->second) : std::nullopt;
}

void RedirectedRequest::ForEachVariable(
    const std::function<void(std::string_view, std::string_view)>& visit) const {
  original_.ForEachVariable([&](std::string_view name, std::string_view value) {
    if (changed_.find(name) == changed_.end()) visit(name, value);
  });
  for (const auto& [name, value] : changed_)
    if (value) visit(name, *value);
}

void RedirectedRequest::SetVariable(std::string_view name, std::string_view value) {
  changed_[std::string(name)] = std::string(value);
}

void RedirectedRequest::UnsetVariable(std::string_view name) {
  changed_[std::string(name)] = std::nullopt;
}

// The original's answer is sent, and after a rewrite its body read, on the terms of the route that
// answers.
void RedirectedRequest::set_terms(const cgi::Terms& terms) {
  Request::set_terms(terms);
  cgi::Terms own = kind_ == Kind::kRewrite ? terms : original_.terms();
  own.send_idle = terms.send_idle;
  original_.set_terms(own);
}

ssize_t RedirectedRequest::ReadBody(void* buffer, size_t size) {
  if (kind_ == Kind::kRedirect) return 0;
  return original_.ReadBody(buffer, size);
}

}  // namespace cogi::server
