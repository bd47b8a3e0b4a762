#include "server/program_runner.h"

#include <iterator>
#include <utility>

#include "server/error_page.h"
#include "server/exec/exec_handler.h"
#include "server/exec/spawn.h"
#include "server/log.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

constexpr size_t kMaxKnown = 4096;

void LogProgramLine(const cgi::Request& request, std::string_view line, ProgramLine kind) {
  static constexpr Level kLevels[] = {Level::kWarning, Level::kInfo, Level::kError};
  static LogLimiter limiters[std::size(kLevels)];
  const auto index = static_cast<size_t>(kind);
  limiters[index].Log(kLevels[index], "request ", request.id(), " ", request.target(), ": ", line);
}

void LogInstanceLine(const std::string& path, std::string_view line, ProgramLine kind) {
  static LogLimiter limiter;
  limiter.Log(kind == ProgramLine::kFailure ? Level::kError : Level::kWarning, path, ": ", line);
}

ProgramOptions OptionsOf(const config::Route& route, const config::Pool& pool,
                         LocalRedirect redirect) {
  ProgramOptions options;
  // The connection's own coroutine is as the pool says; a route that wants another gets its own.
  if (route.coroutine.stack != pool.coroutine.stack ||
      route.coroutine.stack_size != pool.coroutine.stack_size) {
    options.stack_mode = route.coroutine.stack == config::StackMode::kPrivate
                             ? coroutine::StackMode::kPrivate
                             : coroutine::StackMode::kShared;
    options.stack_size = route.coroutine.stack_size;
  }
  options.max_heap = route.limits.heap;
  options.max_output = route.limits.output;
  options.process_limits = {
      .memory = route.limits.exec_memory,
      .cpu_seconds = static_cast<uint64_t>(route.limits.exec_cpu.count()),
      .files = route.limits.exec_files,
      .file_size = route.limits.exec_file_size,
  };
  for (const auto& [name, value] : route.environment) options.environment.emplace_back(name, value);
  options.max_running = route.limits.concurrency;
  options.log = LogProgramLine;
  options.log_program = LogInstanceLine;
  options.on_crash = [] { TellMaster(kWorkerFails); };
  options.error_page = [](cgi::Request& request, cgi::Response& response, int status) {
    AnswerError(request, response, status);
  };
  options.local_redirect = std::move(redirect);
  return options;
}

void SetVariables(cgi::Request& request, const ProgramPlace& place) {
  request.SetVariable("SCRIPT_NAME", place.script_name);
  request.SetVariable("SCRIPT_FILENAME", place.script_filename);
  request.SetVariable("DOCUMENT_ROOT", place.document_root);
  if (place.path_info.empty()) {
    request.UnsetVariable("PATH_INFO");
    request.UnsetVariable("PATH_TRANSLATED");
  } else {
    request.SetVariable("PATH_INFO", place.path_info);
    request.SetVariable("PATH_TRANSLATED", place.document_root + place.path_info);
  }
}

}  // namespace

ProgramRunner::ProgramRunner(Runner& runner, const config::Pool& pool, LocalRedirect redirect)
    : runner_(runner),
      options_(OptionsOf(runner.route(), pool, std::move(redirect))),
      library_(options_) {
  ReserveSpawnDescriptors();
}

void ProgramRunner::Run(cgi::Request& request, cgi::Response& response, const ProgramPlace& place,
                        const struct stat& status) {
  if ((status.st_mode & 0111) == 0) {
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "request ", request.id(), " ", request.target(),
                ": 403: ", place.script_filename, " has no x bit; chmod +x makes it run");
    return AnswerError(request, response, 403);
  }
  SetVariables(request, place);
  if (!IsModule(place.script_filename, status)) {
    const auto process = MakeExecHandler(place.script_filename, options_);
    return runner_.Run(*process, request, response);
  }
  std::string error;
  cgi::Handler* handler = library_.Find(place.script_filename, &error);
  if (handler == nullptr) {
    static LogLimiter limiter;
    limiter.Log(Level::kError, "request ", request.id(), " ", request.target(), ": ", error);
    return AnswerError(request, response, 500);
  }
  runner_.Run(*handler, request, response);
}

std::string ProgramRunner::Load(const std::string& path) {
  std::string error;
  return library_.Find(path, &error) == nullptr ? error : std::string();
}

bool ProgramRunner::IsModule(const std::string& path, const struct stat& status) {
  const auto found = known_.find(path);
  if (found != known_.end() && found->second.device == status.st_dev &&
      found->second.inode == status.st_ino && found->second.size == status.st_size &&
      found->second.modified.tv_sec == status.st_mtim.tv_sec &&
      found->second.modified.tv_nsec == status.st_mtim.tv_nsec)
    return found->second.is_module;
  bool could_read = false;
  const bool is_module = IsProgramModule(path, &could_read);
  if (!could_read) return false;  // for want of a descriptor, say: the next request may know
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[path] = {status.st_dev, status.st_ino, status.st_size, status.st_mtim, is_module};
  return is_module;
}

}  // namespace cogi::server
