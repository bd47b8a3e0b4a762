#include "cgi/fastcgi_request.h"

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"
#include "cgi/path_normalizer.h"

namespace cogi::cgi {

void FastCgiRequest::StartOver(BodySource& body) {
  body_ = &body;
  variables_.Clear();
  method_ = target_ = path_ = query_ = {};
  content_length_.reset();
  set_id({});
  set_deadline(Deadline::max());
}

HttpError FastCgiRequest::Complete() {
  method_ = Text("REQUEST_METHOD");
  query_ = Text("QUERY_STRING");
  // Empty, absent or no number: unknown (nginx sends "" for chunked uploads, lighttpd negative
  // numbers when it upgrades).
  content_length_ = ParseLength(Text("CONTENT_LENGTH"));
  if (!IsToken(method_)) {
    return {400, "fcgi_no_method", "the web server sent no lawful REQUEST_METHOD"};
  }
  HttpError error = FindPath();
  if (error.status == 0) FindTarget();
  return error;
}

// The path that was asked for. DOCUMENT_URI is nginx's, whole and decoded; the standard says it in
// two parts. A web server decodes and resolves paths, but nothing here relies on that.
HttpError FastCgiRequest::FindPath() {
  Arena& arena = variables_.arena();
  std::string_view raw = Text("DOCUMENT_URI");
  bool decode = false;
  if (raw.empty()) {
    std::string_view script = Text("SCRIPT_NAME"), info = Text("PATH_INFO");
    char* joined = arena.Allocate(script.size() + info.size());
    size_t size = script.copy(joined, script.size());
    size += info.copy(joined + size, info.size());
    raw = {joined, size};
  }
  if (raw.empty()) {
    std::string_view uri = Text("REQUEST_URI");
    raw = uri.substr(0, uri.find('?'));
    decode = true;
  }
  if (raw.empty()) raw = "/";
  char* out = arena.Allocate(raw.size());
  size_t size = 0;
  PathError error = NormalizePath(raw, out, size, decode);
  if (error != PathError::kNone) return {400, "bad_path", Describe(error)};
  path_ = {out, size};
  return {};
}

void FastCgiRequest::FindTarget() {
  target_ = Text("REQUEST_URI");
  if (!target_.empty()) return;
  target_ = path_;
  if (query_.empty()) return;
  char* out = variables_.arena().Allocate(path_.size() + 1 + query_.size());
  size_t size = path_.copy(out, path_.size());
  out[size++] = '?';
  size += query_.copy(out + size, query_.size());
  target_ = {out, size};
}

std::string_view FastCgiRequest::Header(std::string_view name) const {
  if (EqualIgnoringCase(name, "content-type")) return Text("CONTENT_TYPE");
  if (EqualIgnoringCase(name, "content-length")) return Text("CONTENT_LENGTH");
  constexpr std::string_view kPrefix = "HTTP_";
  for (const MetaVariables::Entry& entry : variables_.entries()) {
    if (!entry.set || entry.name.size() != kPrefix.size() + name.size() ||
        !entry.name.starts_with(kPrefix)) {
      continue;
    }
    size_t i = 0;
    while (i < name.size() &&
           (name[i] == '-' ? '_' : ToUpper(name[i])) == entry.name[kPrefix.size() + i]) {
      ++i;
    }
    if (i == name.size()) return entry.value;
  }
  return {};
}

void FastCgiRequest::ForEachVariable(
    const std::function<void(std::string_view, std::string_view)>& visit) const {
  for (const MetaVariables::Entry& entry : variables_.entries()) {
    if (entry.set) visit(entry.name, entry.value);
  }
}

}  // namespace cogi::cgi
