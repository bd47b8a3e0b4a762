#include "server/watchdog.h"

#include <execinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <fstream>
#include <sstream>

#include "coroutine/scheduler.h"
#include "hooks/program.h"
#include "server/log.h"
#include "server/real_calls.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

// A program can be left where its own code runs. If it was interrupted in a library, it is tried
// again so often, so much CPU time later each.
constexpr uint64_t kTries = 200;
constexpr std::chrono::milliseconds kTryAgain{5};

// What the signal handler works with: set before the timer runs, and never freed.
struct Watch {
  const Worker* worker = nullptr;
  WorkerCounters* counters = nullptr;
  const coroutine::Scheduler* scheduler = nullptr;
  const RealCalls* real = nullptr;
  int channel = -1;
  uint64_t switches = 0;
  std::chrono::milliseconds period{};
  uint64_t periods = 0;        // without a switch, in a row
  uint64_t stuck_periods = 0;  // so many are too many; 0: none are
  bool tries = false;          // the timer runs by kTryAgain
};

Watch g_watch;
timer_t g_timer;

int TimerSignal() { return SIGRTMIN + 5; }

void Tell(char byte) {
  // A full channel means that the master has enough to read.
  if (g_watch.real->write(g_watch.channel, &byte, 1) < 0) errno = 0;
}

void SetPeriod(std::chrono::milliseconds period) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(period);
  const timespec time{seconds.count(), std::chrono::nanoseconds(period - seconds).count()};
  const itimerspec times{time, time};
  if (timer_settime(g_timer, 0, &times, nullptr) != 0) errno = 0;
}

void Report() {
  StallReport& report = g_watch.counters->stall;
  void* frames[StallReport::kFrames];
  const int count = backtrace(frames, static_cast<int>(StallReport::kFrames));
  report.frames = static_cast<size_t>(count < 0 ? 0 : count);
  for (size_t frame = 0; frame < report.frames; ++frame)
    report.addresses[frame] = reinterpret_cast<uintptr_t>(frames[frame]);
  g_watch.worker->WhatRuns(report.what, sizeof report.what);
  Count(g_watch.counters->stalls);
  Tell(kWorkerStalled);
}

void TryOften(bool tries) {
  if (tries == g_watch.tries) return;
  g_watch.tries = tries;
  SetPeriod(tries ? kTryAgain : g_watch.period);
}

// Does not return if it ends a program.
void EndWhatIsStuck(const void* context, uint64_t tries) {
  if (tries > kTries) return;  // the master has been told
  if (tries < kTries) {
    hooks::Program::AbandonStuck(context);
    return TryOften(true);
  }
  TryOften(false);
  g_watch.worker->HandOverResting();
  Tell(kWorkerStuck);
}

// Runs on the worker's thread, in the middle of whatever did not yield: nothing here allocates or
// locks. backtrace() has been called once before, so that what it needs is loaded.
void OnPeriod(int, siginfo_t*, void* context) {
  const int saved = errno;
  const uint64_t switches = g_watch.scheduler->stats().switches;
  if (switches != g_watch.switches) {
    TryOften(false);
    g_watch.switches = switches;
    g_watch.periods = 0;
  } else {
    if (++g_watch.periods == 1) Report();
    if (g_watch.stuck_periods != 0 && g_watch.periods >= g_watch.stuck_periods)
      EndWhatIsStuck(context, g_watch.periods - g_watch.stuck_periods);
  }
  errno = saved;
}

// A mapping of a process: what lies at an address.
struct Mapping {
  uintptr_t begin, end, offset;
  std::string file;
};

std::string Locate(pid_t pid, uintptr_t address) {
  std::ifstream maps(Concat("/proc/", pid, "/maps"));
  std::string line;
  while (std::getline(maps, line)) {
    Mapping mapping{};
    char dash = 0;
    std::string access, device, inode;
    std::istringstream fields(line);
    fields >> std::hex >> mapping.begin >> dash >> mapping.end >> access >> mapping.offset >>
        device >> inode >> mapping.file;
    if (address < mapping.begin || address >= mapping.end) continue;
    char digits[20];
    const auto end =
        std::to_chars(digits, digits + sizeof digits, address - mapping.begin + mapping.offset, 16);
    const size_t slash = mapping.file.rfind('/');
    return Concat(slash == std::string::npos ? mapping.file : mapping.file.substr(slash + 1), "+0x",
                  std::string_view(digits, static_cast<size_t>(end.ptr - digits)));
  }
  return "?";
}

}  // namespace

Watchdog::Watchdog(Worker& worker, const config::Settings& settings, int channel) {
  if (settings.stall_log.count() <= 0) return;
  void* once[1];
  backtrace(once, 1);
  g_watch = {.worker = &worker,
             .counters = &worker.counters(),
             .scheduler = coroutine::Scheduler::Current(),
             .real = &Real(),
             .channel = channel,
             .period = settings.stall_log,
             .stuck_periods = static_cast<uint64_t>(
                 (settings.stall_restart + settings.stall_log / 2) / settings.stall_log)};
  struct sigaction action {};
  action.sa_sigaction = OnPeriod;
  // Not blocked in the handler: it may be left by a jump.
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_NODEFER;
  sigaction(TimerSignal(), &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = TimerSignal();
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &g_timer) != 0) {
    LogWarning("handlers that do not yield cannot be found here: ", ErrnoText(errno));
    return;
  }
  SetPeriod(settings.stall_log);
  armed_ = true;
}

Watchdog::~Watchdog() {
  if (armed_) timer_delete(g_timer);
}

std::string DescribeStall(pid_t pid, const StallReport& report) {
  std::string text = report.what;
  text += "; at";
  // The first two frames are the watchdog's own: its handler, and the kernel's way into it.
  for (size_t frame = 2; frame < report.frames && frame < StallReport::kFrames; ++frame) {
    text += ' ';
    text += Locate(pid, report.addresses[frame]);
  }
  return text;
}

}  // namespace cogi::server
