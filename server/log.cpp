#include "server/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <ctime>
#include <memory>
#include <new>

#include "server/log_file.h"

namespace cogi::server {
namespace {

// A sink of spdlog over LogFile, which never blocks and never throws.
class FileSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FileSink(LogFile& file) : file_(file) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    file_.Append({line.data(), line.size()});
  }
  void flush_() override { file_.Flush(); }

  LogFile& file_;
};

struct Logs {
  LogFile error_file;
  LogFile access_file;
  std::unique_ptr<spdlog::logger> error;
  config::Log settings;
  std::string process;
  uint64_t lost = 0;        // lines for which there was no memory
  std::time_t second = -1;  // the one that `clock` shows
  char clock[40] = "";
};

Logs& TheLogs() {
  static Logs logs;
  return logs;
}

spdlog::level::level_enum LevelOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      break;
  }
  return spdlog::level::err;
}

void MakeErrorLogger(Logs& logs) {
  auto sink = std::make_shared<FileSink>(logs.error_file);
  logs.error = std::make_unique<spdlog::logger>(logs.process, std::move(sink));
  logs.error->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "%Y-%m-%dT%H:%M:%S.%e%z %l [%P %n] %v", spdlog::pattern_time_type::local, ""));
  logs.error->set_level(LevelOf(static_cast<Level>(logs.settings.level)));
  logs.error->flush_on(spdlog::level::debug);
}

// The time as the combined format writes it; formatted once a second.
std::string_view AccessClock(Logs& logs) {
  const std::time_t now = std::time(nullptr);
  if (now != logs.second) {
    logs.second = now;
    std::tm parts{};
    localtime_r(&now, &parts);
    std::strftime(logs.clock, sizeof logs.clock, "%d/%b/%Y:%H:%M:%S %z", &parts);
  }
  return logs.clock;
}

void AppendQuoted(std::string& line, std::string_view text) {
  line += '"';
  if (text.empty()) line += '-';
  EscapeForLog(line, text);
  line += '"';
}

void AppendMilliseconds(std::string& line, std::chrono::nanoseconds time) {
  if (time.count() < 0) {
    line += '-';
    return;
  }
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  const std::string thousandths = Concat(1000 + micros % 1000);
  Append(line, micros / 1000);
  line += '.';
  line += std::string_view(thousandths).substr(1);
}

std::chrono::nanoseconds WaitingOf(const AccessEntry& entry) {
  if (entry.on_cpu.count() < 0) return entry.on_cpu;
  return std::max(entry.total - entry.on_cpu, std::chrono::nanoseconds(0));
}

std::string CombinedLine(Logs& logs, const AccessEntry& entry) {
  std::string line;
  line.reserve(256);
  EscapeForLog(line, entry.remote.empty() ? "-" : entry.remote, 64);
  line += " - ";
  EscapeForLog(line, entry.user.empty() ? "-" : entry.user, 128);
  line += " [";
  line += AccessClock(logs);
  line += "] \"";
  EscapeForLog(line, entry.method, 64);
  line += ' ';
  EscapeForLog(line, entry.target);
  line += ' ';
  EscapeForLog(line, entry.protocol, 16);
  line += "\" ";
  Append(line, entry.status);
  line += ' ';
  Append(line, entry.body_bytes);
  line += ' ';
  AppendQuoted(line, entry.referer);
  line += ' ';
  AppendQuoted(line, entry.user_agent);
  line += ' ';
  AppendMilliseconds(line, entry.total);
  line += ' ';
  AppendMilliseconds(line, entry.on_cpu);
  line += ' ';
  AppendMilliseconds(line, WaitingOf(entry));
  line += ' ';
  EscapeForLog(line, entry.upstream.empty() ? "-" : entry.upstream, 128);
  line += ' ';
  line += entry.id;
  return line;
}

// JSON text: the escapes of RFC 8259; bytes above 0x7e as \u00XX, so that any bytes make a valid
// document.
void AppendJson(std::string& line, std::string_view name, std::string_view value) {
  line += '"';
  line += name;
  line += "\":\"";
  for (const char character : value.substr(0, 4096)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == '"' || byte == '\\') {
      line += '\\';
      line += character;
    } else if (byte < 0x20 || byte > 0x7e) {
      constexpr char kHex[] = "0123456789abcdef";
      line += "\\u00";
      line += kHex[byte >> 4];
      line += kHex[byte & 15];
    } else {
      line += character;
    }
  }
  line += "\",";
}

std::string JsonLine(Logs& logs, const AccessEntry& entry) {
  std::string line = "{";
  line.reserve(384);
  AppendJson(line, "time", AccessClock(logs));
  AppendJson(line, "remote", entry.remote);
  AppendJson(line, "user", entry.user);
  AppendJson(line, "method", entry.method);
  AppendJson(line, "target", entry.target);
  AppendJson(line, "protocol", entry.protocol);
  AppendJson(line, "referer", entry.referer);
  AppendJson(line, "user_agent", entry.user_agent);
  AppendJson(line, "upstream", entry.upstream);
  AppendJson(line, "id", entry.id);
  line += "\"status\":";
  Append(line, entry.status);
  line += ",\"bytes\":";
  Append(line, entry.body_bytes);
  line += ",\"ms\":";
  AppendMilliseconds(line, entry.total);
  if (entry.on_cpu.count() >= 0) {
    line += ",\"cpu_ms\":";
    AppendMilliseconds(line, entry.on_cpu);
    line += ",\"wait_ms\":";
    AppendMilliseconds(line, WaitingOf(entry));
  }
  line += '}';
  return line;
}

}  // namespace

std::string OpenLogs(const config::Log& settings, const std::string& process) {
  Logs& logs = TheLogs();
  std::string refusal = logs.error_file.Open(settings.error);
  if (refusal.empty()) refusal = logs.access_file.Open(settings.access);
  if (!refusal.empty()) return refusal;
  logs.settings = settings;
  logs.process = process;
  MakeErrorLogger(logs);
  return {};
}

void ReopenLogs() {
  Logs& logs = TheLogs();
  const std::string access = logs.access_file.Reopen();
  const std::string error = logs.error_file.Reopen();
  if (!access.empty()) LogError(access, "; going on with the old file");
  if (!error.empty()) LogError(error, "; going on with the old file");
}

void FlushLogs() {
  TheLogs().access_file.Flush();
  TheLogs().error_file.Flush();
}

void LogText(Level level, std::string_view text) {
  Logs& logs = TheLogs();
  if (!logs.error) {
    if (logs.error_file.off() && !logs.error_file.Open("stderr").empty()) return;
    logs.process = "cogi";
    MakeErrorLogger(logs);
  }
  if (!logs.error->should_log(LevelOf(level))) return;
  std::string escaped;
  for (const char character : text.substr(0, 8192)) {
    // Backtraces are several lines of one event: their newlines become " | ".
    if (character == '\n') {
      escaped += " | ";
    } else if (character == '"' || character == '\\') {
      escaped += character;
    } else {
      EscapeForLog(escaped, {&character, 1});
    }
  }
  logs.error->log(LevelOf(level), spdlog::string_view_t(escaped));
}

void LogLost() noexcept { ++TheLogs().lost; }

bool LogLimiter::Admit() noexcept {
  constexpr std::chrono::seconds kWindow{10};
  constexpr uint32_t kLines = 5;
  const auto now = coroutine::Clock::now();
  if (now >= window_end_) {
    window_end_ = now + kWindow;
    in_window_ = 0;
  }
  if (++in_window_ <= kLines) return true;
  ++left_out_;
  return false;
}

bool AccessLogOn() { return !TheLogs().access_file.off(); }

void LogAccess(const AccessEntry& entry) noexcept {
  Logs& logs = TheLogs();
  try {
    logs.access_file.Append(logs.settings.format == config::Log::Format::kJson
                                ? JsonLine(logs, entry)
                                : CombinedLine(logs, entry));
  } catch (const std::bad_alloc&) {
    LogLost();
  }
}

void OnAccessPending(std::function<void()> callback) {
  TheLogs().access_file.OnPending(std::move(callback));
}

uint64_t LinesDropped() {
  const Logs& logs = TheLogs();
  return logs.error_file.dropped() + logs.access_file.dropped() + logs.lost;
}

}  // namespace cogi::server
