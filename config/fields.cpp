// The groups of plain fields: their keys and ranges. What they mean stands in settings.h.
#include "config/sections.h"

namespace cogi::config {
namespace {

constexpr milliseconds kLeast{1};
constexpr milliseconds kYear = std::chrono::hours(24 * 365);
constexpr uint64_t kTiB = 1024 * kGiB;

void ReadLogFile(const Source& source, Object& object, std::string_view key, std::string& out) {
  std::string name;
  object.Read(key, name);
  if (name.empty()) return;
  const bool word = name == "stdout" || name == "stderr" || name == "off";
  out = word ? name : source.Absolute(name);
}

}  // namespace

void ReadCoroutines(Object& object, Scope scope, Coroutines& coroutines) {
  object.ReadEnum<StackMode>("stack", coroutines.stack,
                             {{"shared", StackMode::kShared}, {"private", StackMode::kPrivate}});
  object.ReadSize("stack_size", coroutines.stack_size, 16 * kKiB, kGiB);
  if (scope == Scope::kPool) {
    object.Read("shared_stacks", coroutines.shared_stacks, 1, 1024);
    object.Read("max", coroutines.max, 16, 100'000'000);
    object.Read("offload_files", coroutines.offload_files);
  }
  object.Done();
}

void ReadTimeouts(Object& object, Scope scope, Timeouts& timeouts) {
  object.ReadDuration("handler", timeouts.handler, kLeast, kYear);
  object.ReadDuration("queue", timeouts.queue, kLeast, kYear);
  object.ReadDuration("connect", timeouts.connect, kLeast, kYear);
  object.ReadDuration("body", timeouts.body, kLeast, kYear);
  object.ReadDuration("send", timeouts.send, kLeast, kYear);
  if (scope == Scope::kPool) {
    object.ReadDuration("header", timeouts.header, kLeast, kYear);
    object.ReadDuration("keep_alive", timeouts.keep_alive, milliseconds(0), kYear);
    object.ReadDuration("tls_handshake", timeouts.tls_handshake, kLeast, kYear);
    object.ReadDuration("total", timeouts.total, kLeast, kYear);
  }
  object.Done();
  if (timeouts.handler > timeouts.total)
    object.Refuse(object.Find("total") != nullptr ? "total" : "handler",
                  "\"handler\" is longer than \"total\", so no handler could use all of its time; "
                  "\"total\" is at least as long");
}

void ReadLimits(Object& object, Scope scope, Limits& limits) {
  object.ReadSize("body", limits.body, 0, kTiB);
  object.ReadSize("body_memory", limits.body_memory, 4 * kKiB, kGiB);
  object.Read("redirects", limits.redirects, 0, 100);
  object.Read("concurrency", limits.concurrency, 0, 1'000'000);
  object.Read("queue", limits.queue, 0, 1'000'000);
  object.ReadSize("output", limits.output, 0, kTiB);
  object.ReadSize("heap", limits.heap, 0, kTiB);
  object.ReadSize("exec_memory", limits.exec_memory, 0, kTiB);
  milliseconds cpu = limits.exec_cpu;
  object.ReadDuration("exec_cpu", cpu, milliseconds(0), std::chrono::hours(24));
  limits.exec_cpu = std::chrono::ceil<seconds>(cpu);
  object.Read("exec_files", limits.exec_files, 0, 1'000'000);
  object.ReadSize("exec_file_size", limits.exec_file_size, 0, kTiB);
  object.ReadSize("body_rate", limits.body_rate, 0, kGiB);
  if (scope == Scope::kPool) {
    object.ReadSize("request_line", limits.request_line, 128, kMiB);
    object.ReadSize("header_block", limits.header_block, kKiB, kMiB);
    object.Read("headers", limits.headers, 8, 10'000);
    object.ReadSize("fastcgi_params", limits.fastcgi_params, kKiB, 16 * kMiB);
    object.Read("fastcgi_pairs", limits.fastcgi_pairs, 8, 100'000);
    object.Read("fastcgi_requests", limits.fastcgi_requests, 1, 65535);
    object.Read("keep_alive_requests", limits.keep_alive_requests, 1, UINT32_MAX);
    object.Read("connections", limits.connections, 1, 10'000'000);
    object.Read("connections_per_address", limits.connections_per_address, 0, 10'000'000);
  }
  object.Done();
}

void ReadLog(const Source& source, Object& object, Log& log) {
  ReadLogFile(source, object, "access", log.access);
  ReadLogFile(source, object, "error", log.error);
  object.ReadEnum<Log::Format>(
      "format", log.format, {{"combined", Log::Format::kCombined}, {"json", Log::Format::kJson}});
  object.ReadEnum<Log::Level>("level", log.level,
                              {{"debug", Log::Level::kDebug},
                               {"info", Log::Level::kInfo},
                               {"warning", Log::Level::kWarning},
                               {"error", Log::Level::kError}});
  object.Done();
  if (log.error == "off")
    object.Refuse("error",
                  "the error log cannot be off; expected a file, \"stdout\" or \"stderr\"");
}

}  // namespace cogi::config
