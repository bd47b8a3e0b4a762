#include "server/directory_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "server/error_page.h"
#include "server/log.h"
#include "server/real_calls.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kMostEntries = 10'000;

struct Entry {
  std::string name;
  bool directory = false;
  uint64_t size = 0;
  std::time_t modified = 0;
};

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// What a client may ask for by its name: files and directories that are not hidden.
std::vector<Entry> ReadEntries(DIR* directory) {
  std::vector<Entry> entries;
  while (entries.size() < kMostEntries) {
    const dirent* found = readdir(directory);
    if (found == nullptr) break;
    struct stat status {};
    if (found->d_name[0] == '.' || fstatat(dirfd(directory), found->d_name, &status, 0) != 0)
      continue;
    const bool is_directory = S_ISDIR(status.st_mode);
    if (!is_directory && !S_ISREG(status.st_mode)) continue;
    entries.push_back({found->d_name, is_directory, static_cast<uint64_t>(status.st_size),
                       status.st_mtim.tv_sec});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tuple(!a.directory, std::string_view(a.name)) <
           std::tuple(!b.directory, std::string_view(b.name));
  });
  return entries;
}

std::string Page(std::string_view path, const std::vector<Entry>& entries) {
  std::string title = "Index of ";
  EscapeHtml(title, path);
  std::string page =
      Concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", title,
             "</title></head>\n<body><h1>", title, "</h1>\n<table>\n");
  if (path != "/") page += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";
  for (const Entry& entry : entries) {
    const char* slash = entry.directory ? "/" : "";
    std::tm parts{};
    gmtime_r(&entry.modified, &parts);
    char time[32];
    const size_t length = std::strftime(time, sizeof time, "%Y-%m-%d %H:%M", &parts);
    // "./" keeps a name with a colon from being read as a scheme.
    page += "<tr><td><a href=\"./";
    EncodePath(page, entry.name);
    page += Concat(slash, "\">");
    EscapeHtml(page, entry.name);
    page += Concat(slash, "</a></td><td>", std::string_view(time, length), "</td><td>");
    if (!entry.directory) page += Concat(entry.size);
    page += "</td></tr>\n";
  }
  return page + "</table></body></html>\n";
}

}  // namespace

void AnswerListing(int fd, cgi::Request& request, cgi::Response& response) {
  // A descriptor of its own: closedir() closes it.
  UniqueFd copy(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseDirectory> directory(copy ? fdopendir(copy.get()) : nullptr);
  if (directory == nullptr) {
    const int error = errno;
    static LogLimiter limiter;
    limiter.Log(Level::kError, "request ", request.id(), " ", request.target(),
                ": the directory cannot be listed: ", ErrnoText(error));
    return AnswerError(request, response, error == EACCES ? 403 : 503);
  }
  static_cast<void>(copy.Release());
  const std::string page = Page(request.path(), ReadEntries(directory.get()));
  response.SetHeader("Content-Type", "text/html; charset=utf-8");
  response.Write(page);
}

}  // namespace cogi::server
