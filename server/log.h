// The logs of a process: an error log for what went wrong and an access log with a line per
// request. One of each per process; the master and every worker open their own. Lines are escaped:
// one event is one line, whatever a client sent. One thread. Never yields, except where a log is
// opened.
#ifndef COGI_SERVER_LOG_H_
#define COGI_SERVER_LOG_H_

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "config/settings.h"
#include "coroutine/deadline.h"
#include "server/text.h"

namespace cogi::server {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };

// OpenLogs() opens both logs of this process. `process` stands in each error line ("master",
// "main/0"). Returns "" or why a log cannot be opened. Until the first call errors go to stderr.
// May yield.
[[nodiscard]] std::string OpenLogs(const config::Log& settings, const std::string& process);
// ReopenLogs() opens the files again after rotation; what fails is logged to the old file. May
// yield.
void ReopenLogs();
void FlushLogs();

// LogText() writes a line of the error log at once. LogLost() counts one that could not be made.
void LogText(Level level, std::string_view text);
void LogLost() noexcept;

// LogPieces() writes the pieces, joined. Want of memory loses the line, never more: it is counted.
template <class... Pieces>
void LogPieces(Level level, const Pieces&... pieces) noexcept {
  try {
    LogText(level, Concat(pieces...));
  } catch (const std::exception&) {
    LogLost();
  }
}
template <class... Pieces>
void LogDebug(const Pieces&... pieces) noexcept {
  LogPieces(Level::kDebug, pieces...);
}
template <class... Pieces>
void LogInfo(const Pieces&... pieces) noexcept {
  LogPieces(Level::kInfo, pieces...);
}
template <class... Pieces>
void LogWarning(const Pieces&... pieces) noexcept {
  LogPieces(Level::kWarning, pieces...);
}
template <class... Pieces>
void LogError(const Pieces&... pieces) noexcept {
  LogPieces(Level::kError, pieces...);
}

// LogLimiter bounds how often one kind of event is logged: five lines in ten seconds; the next line
// after a pause says how many were left out. Make one per kind of event, static.
class LogLimiter {
 public:
  // Log() writes the pieces as one line, or counts it.
  template <class... Pieces>
  void Log(Level level, const Pieces&... pieces) noexcept {
    if (!Admit()) return;
    const uint64_t left_out = std::exchange(left_out_, 0);
    if (left_out == 0) return LogPieces(level, pieces...);
    LogPieces(level, pieces..., " (and ", left_out, " more like it before)");
  }

 private:
  bool Admit() noexcept;

  coroutine::Deadline window_end_{};
  uint32_t in_window_ = 0;
  uint64_t left_out_ = 0;
};

// AccessEntry is one line of the access log.
struct AccessEntry {
  std::string_view remote, user, method, target, protocol, referer, user_agent, id;
  std::string_view upstream;  // the application elsewhere that answered; "": none
  int status = 0;
  uint64_t body_bytes = 0;
  std::chrono::nanoseconds total{0};   // from the request's head to the end of its answer
  std::chrono::nanoseconds on_cpu{0};  // of it on the CPU, -1: not measured
};

// AccessLogOn() tells whether anybody wants the line: asked before an entry is made.
[[nodiscard]] bool AccessLogOn();
// LogAccess() adds a line: the combined format, then the milliseconds in all, on the CPU and
// waiting
// ("-": not measured), the upstream ("-": none) and the request's id; or the same as JSON. Kept
// back until FlushLogs().
void LogAccess(const AccessEntry& entry) noexcept;
// OnAccessPending() is called when the first line is kept back, so that somebody flushes in time.
void OnAccessPending(std::function<void()> callback);
// LinesDropped() is how many lines of both logs could not be written so far.
[[nodiscard]] uint64_t LinesDropped();

}  // namespace cogi::server

#endif  // COGI_SERVER_LOG_H_
