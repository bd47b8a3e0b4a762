#include "server/error_pages.h"

#include <cerrno>
#include <fstream>

#include "server/content_type.h"
#include "server/listener.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kMostBytes = 1 << 20;

}  // namespace

ErrorPages::ErrorPages(const std::map<uint16_t, std::string>& files) {
  for (const auto& [status, file] : files) {
    std::ifstream in(file, std::ios::binary);
    std::string text(kMostBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(in.gcount()));
    if (!in.is_open() || in.bad())
      throw StartError(Concat("error_pages: ", file, " cannot be read: ", ErrnoText(errno)));
    if (text.size() > kMostBytes)
      throw StartError(Concat("error_pages: ", file, " is larger than 1 MiB"));
    pages_[status] = {std::string(ContentTypeOf(file)), std::move(text)};
  }
}

void ErrorPages::Apply(cgi::Response& response) const {
  const auto status = static_cast<uint16_t>(response.status());
  auto found = pages_.find(status);
  if (found == pages_.end()) found = pages_.find(status / 100);
  if (found == pages_.end() || response.head_sent()) return;
  response.SetHeader("Content-Type", found->second.type);
  response.ReplaceBody(found->second.text);
}

}  // namespace cogi::server
