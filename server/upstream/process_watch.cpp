// The watchers of a ProcessPool: a coroutine for each process, from its start until it was reaped.
#include <signal.h>

#include <cerrno>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/log.h"
#include "server/upstream/process_pool.h"

namespace cogi::server {
namespace {

// How long a process may still work for a request that was given up and how much it may still write
// (one that is in the middle of a long answer is not waited for), and how long it may take to end
// after SIGTERM.
constexpr std::chrono::seconds kGiveUpGrace{5};
constexpr size_t kGiveUpBytes = 64 * 1024;
constexpr std::chrono::seconds kTermGrace{2};
constexpr size_t kPiece = 4096;

void Close(UniqueFd& fd) {
  if (fd) coroutine::ForgetFd(fd.get());
  fd.Reset();
}

// Takes the rest of an answer that nobody wants.
struct RestSink final : cgi::fcgi::ResponseSink {
  void OnStdout(uint16_t, std::string_view) override {}
  void OnStderr(uint16_t, std::string_view) override {}
  void OnEnd(uint16_t, uint32_t, cgi::fcgi::ProtocolStatus) override { ended = true; }
  void OnValues(const cgi::fcgi::Values&) override {}
  bool ended = false;
};

}  // namespace

void ProcessPool::Watch(Process& process) {
  const int status = WatchUntilEnd(process);
  Ended(process, status);
  KeepLeast();
}

int ProcessPool::WatchUntilEnd(Process& process) {
  struct Unwatch {
    Process& process;
    ~Unwatch() { process.watcher = nullptr; }
  } const unwatch{process};
  for (;;) {
    const bool gives_up = process.state == Process::State::kGivesUp;
    pollfd fds[] = {{process.spawned.pidfd.get(), POLLIN, 0},
                    {process.spawned.errors.get(), POLLIN, 0},
                    {gives_up ? process.kept.get() : -1, POLLIN, 0}};
    if (coroutine::PollFds(fds, 3, NextLook(process)) < 0)
      coroutine::ClearCancel(*coroutine::Current());  // somebody changed its state
    if (fds[1].revents != 0) ReadErrors(process);
    if (fds[2].revents != 0) ReadRest(process);
    if (fds[0].revents != 0) {
      SignalGroup(process.spawned, SIGTERM);  // its own children, while its number is still its own
      int status = 0;
      if (ReapProcess(process.spawned, &status)) return status;
    }
    Look(process);
  }
}

// When there may be something to do that no descriptor tells.
coroutine::Deadline ProcessPool::NextLook(const Process& process) const {
  switch (process.state) {
    case Process::State::kRests:
      return live() > settings_.min_processes ? process.since + settings_.idle
                                              : coroutine::kNoDeadline;
    case Process::State::kAnswers:
      return coroutine::After(settings_.idle);  // it may rest by then
    case Process::State::kGivesUp:
      return process.since + kGiveUpGrace;
    case Process::State::kEnds:
      return process.since + kTermGrace;
  }
  return coroutine::kNoDeadline;
}

void ProcessPool::Look(Process& process) {
  if (NextLook(process) > coroutine::Clock::now()) return;
  switch (process.state) {
    case Process::State::kAnswers:
      return;
    case Process::State::kRests:
      return End(process);
    case Process::State::kGivesUp:
      LogWarning(command_.words.front(), " [", process.spawned.pid,
                 "] goes on with a request that was given up; it is ended");
      return End(process);
    case Process::State::kEnds:
      process.since = coroutine::Clock::now();
      return SignalGroup(process.spawned, SIGKILL);
  }
}

void ProcessPool::ReadErrors(Process& process) {
  char piece[kPiece];
  const ssize_t got = Real().read(process.spawned.errors.get(), piece, sizeof piece);
  if (got > 0) return process.lines.Take({piece, static_cast<size_t>(got)});
  if (got < 0 && errno == EINTR) return;
  if (got < 0 && errno == EAGAIN)
    return coroutine::MarkDrained(process.spawned.errors.get(), EPOLLIN);
  Close(process.spawned.errors);
}

// A process that ends the request which was given up in time is as good as ever.
void ProcessPool::ReadRest(Process& process) {
  char piece[kPiece];
  const ssize_t got = Real().read(process.kept.get(), piece, sizeof piece);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return coroutine::MarkDrained(process.kept.get(), EPOLLIN);
  process.left_bytes += got > 0 ? static_cast<size_t>(got) : 0;
  RestSink sink;
  std::string_view bytes(piece, got > 0 ? static_cast<size_t>(got) : 0);
  while (!bytes.empty() && process.receiver.error() == nullptr && !sink.ended)
    bytes.remove_prefix(process.receiver.Push(bytes, sink));
  if (sink.ended) {
    // The request may have been cut off anywhere, so the connection is not used again.
    Close(process.kept);
    return Free(process);
  }
  if (got <= 0 || process.receiver.error() != nullptr || process.left_bytes > kGiveUpBytes)
    End(process);
}

void ProcessPool::Ended(Process& process, int status) {
  while (process.spawned.errors) {
    pollfd left{process.spawned.errors.get(), POLLIN, 0};
    if (Real().poll(&left, 1, 0) != 1 || left.revents == 0) break;
    ReadErrors(process);
  }
  process.lines.Finish();
  const bool told = process.state == Process::State::kEnds;
  const std::string how = DescribeStatus(status);
  if (!told || process.broke_off)
    LogWarning(
        "route ", route_.path, ": ", command_.words.front(), " [", process.spawned.pid,
        process.broke_off ? "] broke off and has ended after " : "] has ended by itself after ",
        process.answered, " requests: ", how);
  if (!told) {
    ++ending_;
    process.state = Process::State::kEnds;
    if (process.answered == 0) NoteFailure(Concat("does not come up: ", how));
  }
  for (UniqueFd* fd : {&process.kept, &process.spawned.errors, &process.spawned.pidfd}) Close(*fd);
  process.gone = true;
  if (!process.linked) Drop(process);
  Wake();  // another one may be started
}

void ProcessPool::KeepLeast() {
  while (live() < settings_.min_processes) {
    coroutine::SleepUntil(start_at_);
    if (live() < settings_.min_processes) StartOne();
  }
}

}  // namespace cogi::server
