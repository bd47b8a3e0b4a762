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
// Most processes end sooner, and need no watch over their end, nor over their errors: what a pipe
// holds of those is read when the output has ended.
constexpr std::chrono::milliseconds kQuick{20};
// What stands in the pipe of its stderr when its output has ended, and no flood beyond.
constexpr int kLastErrors = 16;  // pieces

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
  bool RunQuick();
  bool ReadBody();
  void WriteInput();
  bool ReadOutput(short ready);
  bool ReadErrors(short ready);
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
  // The end of the process is watched once it is `slow_`; after that the output has `until_`.
  bool slow_ = false;
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

// Reads what is there and sends it when there is no more for the moment. `ready` is what poll(2)
// has said: after a hang-up a short read is the last one.
bool Pump::ReadOutput(short ready) {
  char* const piece = buffer_.get() + kPiece;
  for (;;) {
    const ssize_t got = Real().read(child_.output(), piece, kPiece);
    if (got > 0 && !TakeOutput({piece, static_cast<size_t>(got)})) return false;
    if (got == kPiece || (got < 0 && errno == EINTR)) continue;
    if (got == 0 || (got < 0 && errno != EAGAIN) || (ready & POLLHUP) != 0) {
      child_.CloseOutput();
      return true;
    }
    coroutine::MarkDrained(child_.output(), EPOLLIN);
    return response_.body_bytes() == 0 || response_.Flush();
  }
}

// False: there is no more for the moment, or at all.
bool Pump::ReadErrors(short ready) {
  char* const piece = buffer_.get() + kPiece;
  const ssize_t got = (ready & POLLIN) != 0 ? Real().read(child_.errors(), piece, kPiece) : 0;
  if (got > 0) errors_.Take({piece, static_cast<size_t>(got)});
  if (got > 0 || (got < 0 && errno == EINTR)) return true;
  if (got < 0 && errno == EAGAIN)
    coroutine::MarkDrained(child_.errors(), EPOLLIN);
  else
    child_.CloseErrors();
  return false;
}

// The first kQuick of a program without input.
bool Pump::RunQuick() {
  const coroutine::Deadline until = coroutine::After(kQuick);
  while (child_.output() >= 0 && !slow_) {
    uint32_t got = 0;
    const auto reason = coroutine::WaitFd(child_.output(), EPOLLIN, until, &got);
    if (reason == coroutine::WakeReason::kCancelled) return false;
    slow_ = reason != coroutine::WakeReason::kReady;
    if (!slow_ && !ReadOutput(static_cast<short>(got))) return false;
  }
  return true;
}

bool Pump::Run() {
  if (child_.input() < 0 && !RunQuick()) return false;
  const coroutine::Deadline quick = coroutine::After(kQuick);
  while (child_.output() >= 0) {
    if (!ReadBody()) return false;
    const bool ending = until_ != coroutine::kNoDeadline;
    pollfd fds[4] = {{child_.output(), POLLIN, 0},
                     {child_.errors(), POLLIN, 0},
                     {child_.input(), POLLOUT, 0},
                     {slow_ && !ending ? child_.ended_fd() : -1, POLLIN, 0}};
    const int ready = coroutine::PollFds(fds, 4, slow_ ? until_ : quick);
    if (ready < 0) return false;
    if (ready == 0 && ending) break;  // its children keep the output open; the answer is complete
    if (ready == 0) slow_ = true;
    if (fds[1].revents != 0) ReadErrors(fds[1].revents);
    if (fds[2].revents != 0) WriteInput();
    if (fds[0].revents != 0 && !ReadOutput(fds[0].revents)) return false;
    if (fds[3].revents != 0) until_ = coroutine::After(kOutputGrace);
  }
  for (int left = kLastErrors; left > 0 && child_.errors() >= 0 && ReadErrors(POLLIN);) --left;
  return true;
}

class ExecHandler final : public cgi::Handler {
 public:
  ExecHandler(std::string path, const ProgramOptions& options)
      : path_(std::move(path)),
        options_(options),
        directory_(options_.working_directory.empty() ? DirectoryOf(path_)
                                                      : options_.working_directory),
        nph_(path_.compare(path_.rfind('/') + 1, 4, "nph-") == 0) {}

  void Serve(cgi::Request& request, cgi::Response& response) override;

 private:
  void RefuseStart(cgi::Request& request, cgi::Response& response, int error) const;
  static hooks::ProgramResult Await(ChildProcess& child);

  const std::string path_;
  const ProgramOptions& options_;
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
  if (!child.ReapWithin(kExitGrace, &status)) return result;
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
  const bool has_input = request.content_length().value_or(1) > 0;
  ChildProcess child;
  if (const int error = child.Start(path_, directory_, options_.process_limits, has_input,
                                    environment.arguments(), environment.variables()))
    return RefuseStart(request, response, error);

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

std::unique_ptr<cgi::Handler> MakeExecHandler(const std::string& path,
                                              const ProgramOptions& options) {
  return std::make_unique<ExecHandler>(path, options);
}

}  // namespace cogi::server
