#include "server/program/lint_trial.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>
#include <string_view>

#include "cgi/cgi_header_parser.h"
#include "coroutine/sanitizers.h"
#include "coroutine/scheduler.h"
#include "server/program/module.h"
#include "server/program/program_answer.h"
#include "server/program/program_io.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr char kPaint = '\xa5';
constexpr size_t kUnpainted =
    64 * 1024;  // of the trial's stack: what lies above the program, and a rest below
constexpr std::chrono::milliseconds kLook{5};

// Input is the request's body.
class Input final : public hooks::VirtualFile {
 public:
  explicit Input(std::string_view body) : left_(body) {}
  ssize_t Readv(const iovec* pieces, int count) override {
    ssize_t taken = 0;
    for (int i = 0; i < count; ++i) {
      const size_t size = std::min(pieces[i].iov_len, left_.size());
      std::memcpy(pieces[i].iov_base, left_.data(), size);
      left_.remove_prefix(size);
      taken += static_cast<ssize_t>(size);
    }
    return taken;
  }
  ssize_t Writev(const iovec*, int) override {
    errno = EBADF;
    return -1;
  }

 private:
  std::string_view left_;
};

// Output looks at the header and counts the rest.
class Output final : public hooks::VirtualFile {
 public:
  ssize_t Readv(const iovec*, int) override {
    errno = EBADF;
    return -1;
  }
  ssize_t Writev(const iovec* pieces, int count) override {
    hooks::ServerScope scope;
    ssize_t taken = 0;
    for (int i = 0; i < count; ++i) {
      header_.Push({static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len});
      taken += static_cast<ssize_t>(pieces[i].iov_len);
    }
    bytes_ += static_cast<uint64_t>(taken);
    return taken;
  }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  // What is wrong with the header, now that the output has ended.
  std::string Error() {
    if (header_.state() == cgi::CgiHeaderParser::State::kMore) header_.Finish();
    return header_.state() == cgi::CgiHeaderParser::State::kDone ? "" : header_.error();
  }

 private:
  cgi::CgiHeaderParser header_;
  uint64_t bytes_ = 0;
};

// The environment of RFC 3875 4.1, as far as a request without a connection has one.
class Environment {
 public:
  Environment(const std::string& path, const TrialRequest& request) {
    for (const auto& [name, value] : request.environment) Add(name, value);
    const std::string file = path.substr(path.rfind('/') + 1);
    const std::pair<const char*, std::string> usual[] = {
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"SERVER_SOFTWARE", "cogi"},
        {"SERVER_NAME", "localhost"},
        {"SERVER_PORT", "8080"},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REQUEST_METHOD", request.body.empty() ? "GET" : "POST"},
        {"QUERY_STRING", request.query},
        {"SCRIPT_NAME", "/" + file},
        {"SCRIPT_FILENAME", path},
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    };
    for (const auto& [name, value] : usual) Add(name, value);
    if (!request.body.empty()) {
      Add("CONTENT_LENGTH", Concat(request.body.size()));
      Add("CONTENT_TYPE", "application/x-www-form-urlencoded");
    }
    argument_ = path;
    for (std::string& text : texts_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
    arguments_[0] = argument_.data();
  }
  char** variables() { return pointers_.data(); }
  char** arguments() { return arguments_; }

 private:
  void Add(const std::string& name, const std::string& value) {
    const std::string start = name + "=";
    for (const std::string& text : texts_)
      if (text.starts_with(start)) return;
    texts_.push_back(start + value);
  }
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
  std::string argument_;
  char* arguments_[2] = {nullptr, nullptr};
};

// Stack tells how deep the program has gone: the free part of the coroutine's own stack is painted
// before, and looked at afterwards.
class Stack {
 public:
  [[gnu::noinline]] void Begin() {
    top_ = static_cast<char*>(__builtin_frame_address(0));
    low_ = top_ - (kTrialStack - kUnpainted);
    Paint(top_ - kOwnFrame);
  }
  [[nodiscard]] size_t Used() const {
    if (COGI_SANITIZED) return 0;
    const char* at = low_;
    while (at < top_ && *static_cast<const volatile char*>(at) == kPaint) ++at;
    return static_cast<size_t>(top_ - at);
  }

 private:
  static constexpr ptrdiff_t kOwnFrame = 512;
  [[gnu::noinline]] void Paint(char* high) const {
    if (COGI_SANITIZED) return;
    for (volatile char* at = low_; at < high; ++at) *at = kPaint;
  }
  char* top_ = nullptr;
  char* low_ = nullptr;
};

void RunHere(Module& module, const std::string& path, const TrialRequest& request, Trial* trial) {
  Environment environment(path, request);
  Input input(request.body);
  Output output;
  ErrorLines errors;
  errors.Begin([trial](std::string_view line) { trial->errors.emplace_back(line); });
  const std::string folder = DirectoryOf(path);
  const auto program = std::make_unique<hooks::Program>();
  hooks::ProgramStart start;
  start.image = &module.image();
  start.argc = 1;
  start.argv = environment.arguments();
  start.environment = environment.variables();
  start.standard[0] = &input;
  start.standard[1] = &output;
  start.standard[2] = &errors;
  start.directory = folder.c_str();
  Stack stack;
  stack.Begin();
  trial->result = program->Run(start);
  trial->stack = stack.Used();
  errors.Finish();
  trial->output = output.bytes();
  trial->header_error = output.Error();
}

// TimeLimit ends a trial that computes without a call, where it can be left (AbandonStuck()); where
// it cannot, the process ends with a message. The hooks cancel one that waits before that.
class TimeLimit {
 public:
  explicit TimeLimit(std::chrono::milliseconds limit) {
    left_tries = kTries;
    struct sigaction action {};
    action.sa_sigaction = OnTime;
    // Not blocked in the handler, which may be left by a jump.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER;
    ::sigaction(SIGRTMIN, &action, &before_);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN;
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    armed_ = ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    const auto first = limit + kTryAgain;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(first);
    const itimerspec times = {{0, std::chrono::nanoseconds(kTryAgain).count()},
                              {seconds.count(), std::chrono::nanoseconds(first - seconds).count()}};
    if (armed_) ::timer_settime(timer_, 0, &times, nullptr);
  }
  ~TimeLimit() {
    if (armed_) ::timer_delete(timer_);
    ::sigaction(SIGRTMIN, &before_, nullptr);
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

 private:
  static constexpr std::chrono::milliseconds kTryAgain{20};
  static constexpr int kTries = 100;
  static inline volatile sig_atomic_t left_tries;

  static void OnTime(int, siginfo_t*, void* context) {
    hooks::Program::AbandonStuck(context);  // does not return if it can
    const int tries = left_tries;
    left_tries = tries - 1;
    if (tries > 1) return;
    constexpr char kMessage[] =
        "cogi lint: the trial request did not end in time, and cannot be ended where it computes; "
        "--no-trial leaves it out\n";
    ::syscall(SYS_write, STDERR_FILENO, kMessage, sizeof kMessage - 1);
    ::_exit(2);
  }

  struct sigaction before_ {};
  timer_t timer_{};
  bool armed_ = false;
};

}  // namespace

bool RunTrial(const std::string& path, const TrialRequest& request, Trial* trial,
              std::string* error) {
  const std::shared_ptr<Module> module = Module::Load(path, error);
  if (module == nullptr) return false;
  coroutine::Scheduler scheduler;
  bool done = false;
  coroutine::Coroutine* const program = scheduler.Spawn(
      [&] {
        RunHere(*module, path, request, trial);
        done = true;
      },
      {.stack_mode = coroutine::StackMode::kPrivate, .stack_size = kTrialStack, .name = "trial"});
  const TimeLimit time_limit(request.limit);
  const coroutine::Deadline deadline = coroutine::After(request.limit);
  scheduler.Spawn([&, deadline] {
    while (!done && coroutine::Clock::now() < deadline) coroutine::SleepFor(kLook);
    if (!done) coroutine::Cancel(*program);
  });
  scheduler.Run();
  return true;
}

}  // namespace cogi::server
