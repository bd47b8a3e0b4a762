#include "server/site.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "server/error_page.h"
#include "server/log.h"
#include "server/program/program_answer.h"
#include "server/text.h"

namespace cogi::server {
namespace {

bool IsDirectory(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Whether some part of the path could make a program of it: told without asking the disk.
bool MayBeProgram(std::string_view path) {
  return path.find(".cgi") != std::string_view::npos ||
         path.find("cgi-bin") != std::string_view::npos;
}

void RefuseProgram(const FoundProgram& found, cgi::Request& request, cgi::Response& response) {
  static LogLimiter limiter;
  const auto refuse = [&](Level level, int status, std::string_view why) {
    limiter.Log(level, "request ", request.id(), " ", request.target(), ": ", status, ": ", why);
    AnswerError(request, response, status);
  };
  if (found.kind == FoundProgram::Kind::kMissing)
    return refuse(Level::kInfo, 404, "there is no such program");
  if (found.kind == FoundProgram::Kind::kNoRoom)
    return refuse(Level::kError, 503, "no descriptor or memory to look for the program");
  refuse(Level::kInfo, 403, "this path leads to no file that may be run as a program");
}

FoundProgram::Kind WithoutProgram(int error) {
  if (error == ENOENT || error == ENOTDIR) return FoundProgram::Kind::kMissing;
  if (error == EMFILE || error == ENFILE || error == ENOMEM) return FoundProgram::Kind::kNoRoom;
  return FoundProgram::Kind::kForbidden;
}

void AnswerFound(const FoundProgram& found, std::string_view prefix, const DocumentRoot& root,
                 ProgramRunner& programs, cgi::Request& request, cgi::Response& response) {
  if (found.kind != FoundProgram::Kind::kProgram) return RefuseProgram(found, request, response);
  const std::string_view base = root.directory() == "/" ? std::string_view() : root.directory();
  const ProgramPlace place{.script_name = Concat(WithoutSlash(prefix), "/", found.script),
                           .script_filename = Concat(base, "/", found.script),
                           .path_info = std::string(found.path_info),
                           .document_root = root.directory()};
  programs.Run(request, response, place, found.status);
}

}  // namespace

FoundProgram FindProgram(const DocumentRoot& root, std::string_view path, bool all) {
  FoundProgram found;
  if (!all && !MayBeProgram(path)) return found;
  bool below_cgi_bin = false;
  bool ends_in_program_folder = false;  // a directory with a program's name, itself asked for
  size_t begin = 0;
  for (;;) {
    const size_t slash = path.find('/', begin);
    const size_t end = slash == std::string_view::npos ? path.size() : slash;
    const std::string_view name = path.substr(begin, end - begin);
    if (all || below_cgi_bin || name.ends_with(".cgi")) {
      const OpenedFile file = root.Look(path.substr(0, end));
      if (file.error == 0 && S_ISREG(file.status.st_mode))
        return {FoundProgram::Kind::kProgram, path.substr(0, end), path.substr(end), file.status};
      if (file.error != 0) return {WithoutProgram(file.error), {}, {}, {}};
      if (!S_ISDIR(file.status.st_mode)) return {FoundProgram::Kind::kForbidden, {}, {}, {}};
      ends_in_program_folder = path.find_first_not_of('/', end) == path.npos;
    }
    if (name == "cgi-bin") below_cgi_bin = true;
    if (slash == std::string_view::npos) break;
    begin = slash + 1;
  }
  // A directory of programs, or one that pretends to be one, is neither listed nor served.
  if (all || below_cgi_bin || ends_in_program_folder) found.kind = FoundProgram::Kind::kForbidden;
  return found;
}

Site::Site(const config::Route& route, const config::Pool& pool, Runner& runner,
           LocalRedirect redirect)
    : root_(route.file),
      files_(root_, route),
      programs_(runner, pool, std::move(redirect)),
      prefix_(route.path) {}

void Site::Serve(cgi::Request& request, cgi::Response& response) {
  const std::string_view below = BelowPrefix(request.path(), prefix_);
  const FoundProgram found = FindProgram(root_, below, false);
  if (found.kind == FoundProgram::Kind::kNone) return files_.ServeFile(request, response, below);
  AnswerFound(found, prefix_, root_, programs_, request, response);
}

Programs::Programs(const config::Route& route, const config::Pool& pool, Runner& runner,
                   LocalRedirect redirect)
    : by_exec_(route.form == config::Form::kExec),
      file_(route.file),
      is_directory_(IsDirectory(route.file)),
      root_(is_directory_ ? route.file : DirectoryOf(route.file)),
      programs_(runner, pool, std::move(redirect)),
      prefix_(route.path) {}

void Programs::Serve(cgi::Request& request, cgi::Response& response) {
  if (!is_directory_) return ServeFile(request, response);
  const std::string_view below = BelowPrefix(request.path(), prefix_);
  AnswerFound(FindProgram(root_, below, true), prefix_, root_, programs_, request, response);
}

// A module that has changed is noticed within a second, so looking at it more often is of no use.
// What is started by exec is looked at each time, and at once: a file that is not in memory keeps
// the start of its process waiting as well.
bool Programs::LookAtFile() {
  if (by_exec_)
    return syscall(SYS_newfstatat, AT_FDCWD, file_.c_str(), &status_, 0) == 0 &&
           S_ISREG(status_.st_mode);
  const coroutine::Deadline now = coroutine::CoarseNow();
  if (now < look_again_) return true;
  const bool found = stat(file_.c_str(), &status_) == 0 && S_ISREG(status_.st_mode);
  look_again_ = found ? now + std::chrono::seconds(1) : coroutine::Deadline();
  return found;
}

void Programs::ServeFile(cgi::Request& request, cgi::Response& response) {
  if (!LookAtFile()) return AnswerError(request, response, 404);
  const struct stat status = status_;  // of this request, which may wait
  const std::string_view script = WithoutSlash(prefix_);
  const std::string_view path = request.path();
  const ProgramPlace place{
      .script_name = std::string(script),
      .script_filename = file_,
      .path_info = std::string(path.size() > script.size() ? path.substr(script.size()) : ""),
      .document_root = root_.directory()};
  programs_.Run(request, response, place, status);
}

std::string Programs::Check() {
  if (is_directory_) return root_.usable() ? "" : Concat(file_, " cannot be opened");
  if (by_exec_)
    return access(file_.c_str(), X_OK) == 0
               ? ""
               : Concat(file_, " cannot be executed: ", ErrnoText(errno),
                        "; chmod +x makes it run");
  if (!IsProgramModule(file_))
    return Concat(file_, " is no module; make it with: cogi cc SOURCES -o ", file_);
  return programs_.Load(file_);
}

}  // namespace cogi::server
