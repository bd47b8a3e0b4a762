#include "server/route_filter.h"

#include <algorithm>
#include <new>

#include "cgi/field_list.h"
#include "server/text.h"

namespace cogi::server {
namespace {

std::string_view FieldOf(const cgi::Response& response, std::string_view name) {
  return response.Header(name).value_or("");
}

bool ContainsIgnoringCase(std::string_view text, std::string_view part) {
  if (part.size() > text.size()) return false;
  for (size_t at = 0; at + part.size() <= text.size(); ++at)
    if (cgi::EqualIgnoringCase(text.substr(at, part.size()), part)) return true;
  return false;
}

bool IsType(std::string_view content_type, std::string_view type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  if (type.ends_with("/*")) {
    type.remove_suffix(1);
    content_type = content_type.substr(0, type.size());
  }
  return cgi::EqualIgnoringCase(content_type, type);
}

// Whether the answer gains from compression and may be changed on its way (RFC 9110 7.7).
bool MayBeCoded(const config::Compression& settings, const cgi::Response& response,
                std::optional<uint64_t> length) {
  const int status = response.status();
  if (status == 204 || status == 206 || status == 304) return false;
  if (length.value_or(UINT64_MAX) < settings.min_size) return false;
  if (response.Header("Content-Encoding") || response.Header("Content-Range")) return false;
  if (ContainsIgnoringCase(FieldOf(response, "Cache-Control"), "no-transform")) return false;
  const std::string_view type = FieldOf(response, "Content-Type");
  return std::any_of(settings.types.begin(), settings.types.end(),
                     [&](const std::string& wanted) { return IsType(type, wanted); });
}

// A coded body is another sequence of bytes, so a strong validator of the plain one no longer holds
// (RFC 9110 8.8.3.3), nor do ranges of it.
void DescribeCoded(cgi::Response& response, Coding coding) {
  response.SetHeader("Content-Encoding", NameOf(coding));
  response.RemoveHeader("Accept-Ranges");
  const std::string etag(FieldOf(response, "ETag"));
  if (etag.starts_with('"')) response.SetHeader("ETag", Concat("W/", etag));
}

}  // namespace

void VaryByEncoding(cgi::Response& response) {
  const std::string vary(FieldOf(response, "Vary"));
  if (vary == "*" || ContainsIgnoringCase(vary, "accept-encoding")) return;
  response.SetHeader("Vary", vary.empty() ? "Accept-Encoding" : Concat(vary, ", Accept-Encoding"));
}

RouteFilter::RouteFilter(const config::Route& route, const cgi::Request& request)
    : route_(route),
      coding_(route.compress.any() ? Choose(ParseAcceptEncoding(request.Header("Accept-Encoding")),
                                            route.compress.gzip, route.compress.brotli)
                                   : Coding::kIdentity) {}

bool RouteFilter::IsNeeded(const config::Route& route) {
  return route.compress.any() || !route.headers.empty();
}

bool RouteFilter::Start(cgi::Response& response, std::optional<uint64_t> length) {
  for (const auto& [name, value] : route_.headers) {
    if (value.empty()) {
      response.RemoveHeader(name);
    } else {
      response.SetHeader(name, value);
    }
  }
  if (!route_.compress.any() || !MayBeCoded(route_.compress, response, length)) return false;
  VaryByEncoding(response);
  if (coding_ == Coding::kIdentity) return false;
  try {
    encoder_ = MakeEncoder(coding_, route_.compress.level);
  } catch (const std::bad_alloc&) {
    return false;  // larger, but answered
  }
  DescribeCoded(response, coding_);
  response_ = &response;
  return true;
}

void RouteFilter::Body(std::string_view bytes, Then then, std::string& out) {
  if (bytes.empty() && then == Then::kKeep) return;
  // Half a coded body must not look whole.
  if (!encoder_->Encode(bytes, then, out)) response_->Abort();
}

}  // namespace cogi::server
