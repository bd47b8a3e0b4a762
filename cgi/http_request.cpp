#include "cgi/http_request.h"

#include <charconv>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"
#include "cgi/path_normalizer.h"

namespace cogi::cgi {
namespace {

constexpr std::string_view kHttpPrefix = "HTTP_";

// "Accept-Language" is HTTP_ACCEPT_LANGUAGE (RFC 3875 4.1.18).
void AppendVariableName(std::string_view field, std::string& out) {
  for (char c : field) out.push_back(c == '-' ? '_' : ToUpper(c));
}

bool IsVariableOf(std::string_view field, std::string_view suffix) {
  if (field.size() != suffix.size()) return false;
  for (size_t i = 0; i < field.size(); ++i) {
    if ((field[i] == '-' ? '_' : ToUpper(field[i])) != suffix[i]) return false;
  }
  return true;
}

// Fields that become HTTP_* variables. Content-Length and Content-Type have variables of their own.
bool IsPassed(FieldKind kind) {
  switch (kind) {
    case FieldKind::kOther:
    case FieldKind::kHost:
    case FieldKind::kCookie:
      return true;
    default:
      return false;
  }
}

}  // namespace

// A meta-variable that is made from the request; nullopt: not set.
struct HttpRequest::Builtin {
  std::string_view name;
  std::optional<std::string_view> (*make)(const HttpRequest&);
};

using Made = std::optional<std::string_view>;

const HttpRequest::Builtin HttpRequest::kBuiltins[] = {
    {"GATEWAY_INTERFACE", [](const HttpRequest&) -> Made { return "CGI/1.1"; }},
    {"SERVER_SOFTWARE",
     [](const HttpRequest& r) -> Made { return std::string_view(r.info_->server_software); }},
    {"SERVER_PROTOCOL",
     [](const HttpRequest& r) -> Made {
       return r.head_->minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
     }},
    {"SERVER_NAME",
     [](const HttpRequest& r) -> Made {
       return r.host_.empty() ? std::string_view(r.info_->server_address) : HostOf(r.host_);
     }},
    {"SERVER_ADDR", [](const HttpRequest& r) -> Made { return r.info_->server_address; }},
    {"SERVER_PORT",
     [](const HttpRequest& r) -> Made {
       if (r.info_->server_port != 0) return r.Number(r.info_->server_port);
       return r.info_->tls ? "443" : "80";
     }},
    {"REQUEST_METHOD", [](const HttpRequest& r) -> Made { return r.method(); }},
    {"REQUEST_URI", [](const HttpRequest& r) -> Made { return r.RequestUri(); }},
    {"REQUEST_SCHEME",
     [](const HttpRequest& r) -> Made { return r.info_->tls ? "https" : "http"; }},
    {"HTTPS",
     [](const HttpRequest& r) -> Made { return r.info_->tls ? Made("on") : std::nullopt; }},
    {"SCRIPT_NAME", [](const HttpRequest&) -> Made { return ""; }},
    {"PATH_INFO", [](const HttpRequest& r) -> Made { return r.path_; }},
    {"DOCUMENT_URI", [](const HttpRequest& r) -> Made { return r.path_; }},
    {"QUERY_STRING", [](const HttpRequest& r) -> Made { return r.target_.query; }},
    {"REMOTE_ADDR", [](const HttpRequest& r) -> Made { return r.info_->remote_address; }},
    {"REMOTE_HOST", [](const HttpRequest& r) -> Made { return r.info_->remote_address; }},
    {"REMOTE_PORT",
     [](const HttpRequest& r) -> Made {
       return r.info_->remote_port == 0 ? Made() : r.Number(r.info_->remote_port);
     }},
    {"CONTENT_LENGTH",
     [](const HttpRequest& r) -> Made {
       return r.head_->content_length ? Made(r.Number(*r.head_->content_length)) : std::nullopt;
     }},
    {"CONTENT_TYPE",
     [](const HttpRequest& r) -> Made {
       for (const HttpHead::Field& field : r.head_->fields) {
         if (field.kind == FieldKind::kContentType) return r.View(field.value);
       }
       return std::nullopt;
     }},
    // php-cgi refuses to run without it.
    {"REDIRECT_STATUS", [](const HttpRequest&) -> Made { return "200"; }},
    {"UNIQUE_ID",
     [](const HttpRequest& r) -> Made { return r.id().empty() ? Made() : Made(r.id()); }},
};

HttpError HttpRequest::Start(const HttpHead& head, const char* base, const ConnectionInfo& info) {
  head_ = &head;
  base_ = base;
  info_ = &info;
  host_ = head.has_host ? View(head.host) : std::string_view();
  path_ = {};
  overlay_.Clear();
  joined_.clear();
  set_id({});
  set_deadline(Deadline::max());
  HttpError error = CheckTarget();
  return error.status == 0 ? CheckHost() : error;
}

HttpError HttpRequest::CheckHost() {
  if (!head_->has_host && head_->minor_version > 0) {
    return {400, "bad_host", "the request has no Host field"};
  }
  if (head_->has_host && !IsHostAndPort(View(head_->host))) {
    return {400, "bad_host", "the Host field is not a host with an optional port"};
  }
  // RFC 9112 3.2.2: the authority of the target replaces Host.
  if (target_.form == HttpTarget::Form::kAbsolute) host_ = target_.authority;
  return {};
}

HttpError HttpRequest::CheckTarget() {
  if (const char* reason = ParseTarget(target(), target_)) return {400, "bad_target", reason};
  if (!head_->known_method || method() == "CONNECT" || method() == "TRACE") {
    return {501, "unknown_method", "the method is not known here"};
  }
  if (target_.form == HttpTarget::Form::kAuthority || (asterisk() && method() != "OPTIONS")) {
    return {400, "bad_target", "this form of request target is not for this method"};
  }
  if (asterisk()) {
    path_ = "/";
  } else if (IsNormalPath(target_.path)) {
    path_ = target_.path;
  } else {
    char* out = overlay_.arena().Allocate(target_.path.size());
    size_t size = 0;
    PathError error = NormalizePath(target_.path, out, size);
    if (error != PathError::kNone) return {400, "bad_path", Describe(error)};
    path_ = {out, size};
  }
  return {};
}

std::optional<uint64_t> HttpRequest::content_length() const {
  return head_->chunked ? std::nullopt : std::optional(head_->content_length.value_or(0));
}

std::string_view HttpRequest::Number(uint64_t value) const {
  char text[20];
  char* end = std::to_chars(text, text + sizeof text, value).ptr;
  return overlay_.arena().Copy({text, static_cast<size_t>(end - text)});
}

// The target without scheme and authority.
std::string_view HttpRequest::RequestUri() const {
  if (target_.form != HttpTarget::Form::kAbsolute) return target();
  size_t begin =
      static_cast<size_t>(target_.authority.data() - target().data()) + target_.authority.size();
  std::string_view rest = target().substr(begin);
  if (!rest.empty() && rest.front() == '/') return rest;
  char* out = overlay_.arena().Allocate(rest.size() + 1);
  out[0] = '/';
  rest.copy(out + 1, rest.size());
  return {out, rest.size() + 1};
}

bool HttpRequest::IsRepeat(size_t index) const {
  std::string_view name = View(head_->fields[index].name);
  for (size_t i = 0; i < index; ++i) {
    if (EqualIgnoringCase(View(head_->fields[i].name), name)) return true;
  }
  return false;
}

// The value of field `first` and of all later ones of its name (RFC 9110 5.3).
std::string_view HttpRequest::Joined(size_t first) const {
  const HttpHead::Field& field = head_->fields[first];
  if (field.kind == FieldKind::kHost) return host_;
  std::string_view name = View(field.name);
  size_t size = field.value.size, count = 1;
  for (size_t i = first + 1; i < head_->fields.size(); ++i) {
    if (!EqualIgnoringCase(View(head_->fields[i].name), name)) continue;
    size += 2 + head_->fields[i].value.size;
    ++count;
  }
  if (count == 1) return View(field.value);
  for (auto& [index, value] : joined_) {
    if (index == first) return value;
  }
  char* out = overlay_.arena().Allocate(size);
  size_t at = View(field.value).copy(out, size);
  for (size_t i = first + 1; i < head_->fields.size(); ++i) {
    if (!EqualIgnoringCase(View(head_->fields[i].name), name)) continue;
    out[at++] = field.kind == FieldKind::kCookie ? ';' : ',';
    out[at++] = ' ';
    at += View(head_->fields[i].value).copy(out + at, size - at);
  }
  return joined_.emplace_back(first, std::string_view(out, size)).second;
}

std::string_view HttpRequest::Header(std::string_view name) const {
  for (size_t i = 0; i < head_->fields.size(); ++i) {
    if (EqualIgnoringCase(View(head_->fields[i].name), name)) return Joined(i);
  }
  return EqualIgnoringCase(name, "Host") ? host_ : std::string_view();
}

std::optional<std::string_view> HttpRequest::HeaderVariable(std::string_view name) const {
  if (!name.starts_with(kHttpPrefix)) return std::nullopt;
  name.remove_prefix(kHttpPrefix.size());
  for (size_t i = 0; i < head_->fields.size(); ++i) {
    if (IsPassed(head_->fields[i].kind) && IsVariableOf(View(head_->fields[i].name), name)) {
      return Joined(i);
    }
  }
  if (name == "HOST" && HasHostOfTargetAlone()) return host_;
  return std::nullopt;
}

std::optional<std::string_view> HttpRequest::Variable(std::string_view name) const {
  if (const MetaVariables::Entry* entry = overlay_.Find(name)) return overlay_.Get(entry->name);
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return builtin.make(*this);
  }
  if (info_->variables != nullptr) {
    if (Made value = info_->variables->Find(name)) return value;
  }
  return HeaderVariable(name);
}

void HttpRequest::ForEachVariable(
    const std::function<void(std::string_view, std::string_view)>& visit) const {
  for (const Builtin& builtin : kBuiltins) {
    if (overlay_.Find(builtin.name) != nullptr) continue;
    if (Made value = builtin.make(*this)) visit(builtin.name, *value);
  }
  for (size_t i = 0; info_->variables != nullptr && i < info_->variables->size(); ++i) {
    FieldView variable = (*info_->variables)[i];
    if (overlay_.Find(variable.name) == nullptr) visit(variable.name, variable.value);
  }
  for (size_t i = 0; i < head_->fields.size(); ++i) {
    if (!IsPassed(head_->fields[i].kind) || IsRepeat(i)) continue;
    name_ = kHttpPrefix;
    AppendVariableName(View(head_->fields[i].name), name_);
    if (overlay_.Find(name_) == nullptr) visit(name_, Joined(i));
  }
  if (HasHostOfTargetAlone() && overlay_.Find("HTTP_HOST") == nullptr) visit("HTTP_HOST", host_);
  for (const MetaVariables::Entry& entry : overlay_.entries()) {
    if (entry.set) visit(entry.name, entry.value);
  }
}

}  // namespace cogi::cgi
