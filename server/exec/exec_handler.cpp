#include "server/exec/exec_handler.h"

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/exec/child_process.h"
#include "server/exec/nph_header.h"
#include "server/program/environment.h"
#include "server/program/program_answer.h"
#include "server/program/program_io.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kPiece = 64 * 1024;
// What a process may still do after it has closed its output, or after it has ended while its own
// children keep the output open.
constexpr std::chrono::seconds kOutputGrace{1};
constexpr std::chrono::milliseconds kExitGrace{100};

// Pump is one request's traffic with its process.
class Pump {
 public:
  Pump(ChildProcess& child, cgi::Request& request, cgi::Response& response, ResponseOutput& output,
       ErrorLines& errors, bool nph)
      : child_(child),
        request_(request),
        response_(response),
        output_(output),
        errors_(errors),
        nph_(nph),
        buffer_(std::make_unique_for_overwrite<char[]>(2 * kPiece)) {}

  // Run() goes on until the output has ended. False: the client has gone, or the request was
  // cancelled or is over a limit. Yields.
  bool Run();

 private:
  bool ReadBody();
  void WriteInput();
  bool ReadOutput();
  void ReadErrors();
  bool TakeOutput(std::string_view bytes);

  ChildProcess& child_;
  cgi::Request& request_;
  cgi::Response& response_;
  ResponseOutput& output_;
  ErrorLines& errors_;
  const bool nph_;
  NphHeader nph_header_;
  std::unique_ptr<char[]> buffer_;  // a piece of the body, and one of the output
  std::string_view body_;           // of the body, what the pipe has not taken yet
  coroutine::Deadline until_ = coroutine::kNoDeadline;
};

bool Pump::ReadBody() {
  if (child_.input() < 0 || !body_.empty()) return true;
  const ssize_t got = request_.ReadBody(buffer_.get(), kPiece);
  if (got < 0) return false;
  if (got == 0) child_.CloseInput();
  body_ = {buffer_.get(), static_cast<size_t>(got)};
  return true;
}

void Pump::WriteInput() {
  const ssize_t wrote = Real().write(child_.input(), body_.data(), body_.size());
  if (wrote > 0) body_.remove_prefix(static_cast<size_t>(wrote));
  if (wrote >= 0 || errno == EINTR) return;
  if (errno == EAGAIN) return coroutine::MarkDrained(child_.input(), EPOLLOUT);
  body_ = {};  // EPIPE: the program does not want it, which is its right
  child_.CloseInput();
}

bool Pump::TakeOutput(std::string_view bytes) {
  return nph_ ? nph_header_.Pass(bytes,
                                 [this](std::string_view each) { return output_.Take(each, true); })
              : output_.Take(bytes, true);
}

// Reads what is there and sends it when there is no more for the moment.
bool Pump::ReadOutput() {
  char* const piece = buffer_.get() + kPiece;
  for (;;) {
    const ssize_t got = Real().read(child_.output(), piece, kPiece);
    if (got > 0) {
      if (!TakeOutput({piece, static_cast<size_t>(got)})) return false;
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || errno != EAGAIN) {
      child_.CloseOutput();
      return true;
    }
    coroutine::MarkDrained(child_.output(), EPOLLIN);
    return response_.body_bytes() == 0 || response_.Flush();
  }
}

void Pump::ReadErrors() {
  char* const piece = buffer_.get() + kPiece;
  const ssize_t got = Real().read(child_.errors(), piece, kPiece);
  if (got > 0) return errors_.Take({piece, static_cast<size_t>(got)});
  if (got < 0 && errno == EINTR) return;
  if (got < 0 && errno == EAGAIN) return coroutine::MarkDrained(child_.errors(), EPOLLIN);
  child_.CloseErrors();
}

bool Pump::Run() {
  while (child_.output() >= 0) {
    if (!ReadBody()) return false;
    pollfd fds[4] = {{child_.output(), POLLIN, 0},
                     {child_.errors(), POLLIN, 0},
                     {child_.input(), POLLOUT, 0},
                     {until_ == coroutine::kNoDeadline ? child_.ended_fd() : -1, POLLIN, 0}};
    const int ready = coroutine::PollFds(fds, 4, until_);
    if (ready < 0) return false;
    if (ready == 0) break;  // its children keep the output open; the answer is complete
    if (fds[1].revents != 0) ReadErrors();
    if (fds[2].revents != 0) WriteInput();
    if (fds[0].revents != 0 && !ReadOutput()) return false;
    if (fds[3].revents != 0) until_ = coroutine::After(kOutputGrace);
  }
  while (child_.errors() >= 0) {
    pollfd errors = {child_.errors(), POLLIN, 0};
    if (coroutine::PollFds(&errors, 1, coroutine::Clock::now()) <= 0) break;
    ReadErrors();
  }
  return true;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == path.npos ? "/" : path.substr(0, slash);
}

class ExecHandler final : public cgi::Handler {
 public:
  ExecHandler(std::string path, ProgramOptions options)
      : path_(std::move(path)),
        options_(std::move(options)),
        directory_(options_.working_directory.empty() ? FolderOf(path_)
                                                      : options_.working_directory),
        nph_(path_.compare(path_.rfind('/') + 1, 4, "nph-") == 0) {}

  void Serve(cgi::Request& request, cgi::Response& response) override;

 private:
  void RefuseStart(cgi::Request& request, cgi::Response& response, int error) const;
  static hooks::ProgramResult Await(ChildProcess& child);

  const std::string path_;
  const ProgramOptions options_;
  const std::string directory_;
  const bool nph_;
};

void ExecHandler::RefuseStart(cgi::Request& request, cgi::Response& response, int error) const {
  const int status = error == E2BIG                        ? 431
                     : error == EACCES || error == EPERM   ? 403
                     : error == ENOENT || error == ENOTDIR ? 404
                     : error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE
                         ? 503
                         : 500;
  FailProgram(path_, options_, request, response, status,
              Concat("cannot be started: ", ErrnoText(error)));
}

// The exit status; a process that goes on after its output has ended is left to itself for now.
hooks::ProgramResult ExecHandler::Await(ChildProcess& child) {
  hooks::ProgramResult result;
  int status = 0;
  if (!child.Reap(&status)) {
    static_cast<void>(coroutine::WaitFd(child.ended_fd(), EPOLLIN, coroutine::After(kExitGrace)));
    if (!child.Reap(&status)) return result;
  }
  if (WIFSIGNALED(status)) {
    result.end = hooks::ProgramEnd::kSignalled;
    result.status = WTERMSIG(status);
  } else {
    result.status = WEXITSTATUS(status);
  }
  return result;
}

void ExecHandler::Serve(cgi::Request& request, cgi::Response& response) {
  EnvironmentBlock environment;
  environment.Build(request, options_.environment, path_);
  ResponseOutput output;
  output.Begin(response, options_.max_output);
  ErrorLines errors;
  errors.Begin([this, &request](std::string_view line) {
    LogProgram(options_, request, line, ProgramLine::kStderr);
  });
  ChildProcess child;
  if (const int error = child.Start(path_, directory_, options_.process_limits,
                                    environment.arguments(), environment.variables()))
    return RefuseStart(request, response, error);
  if (const uint64_t length = request.content_length().value_or(1); length == 0) child.CloseInput();

  hooks::ProgramResult result;
  Pump pump(child, request, response, output, errors, nph_);
  if (pump.Run()) {
    result = Await(child);
    child.EndLater(request.deadline() - coroutine::Clock::now());
  } else {
    if (!output.over_limit()) result.end = hooks::ProgramEnd::kCancelled;
    child.EndLater();
  }
  errors.Finish();
  AnswerProgram(path_, options_, output, result, request, response);
}

}  // namespace

std::unique_ptr<cgi::Handler> MakeExecHandler(const std::string& path, ProgramOptions options) {
  return std::make_unique<ExecHandler>(path, std::move(options));
}

}  // namespace cogi::server
