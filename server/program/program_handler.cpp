#include "server/program/program_handler.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <new>
#include <optional>

#include "coroutine/resume.h"
#include "coroutine/scheduler.h"
#include "coroutine/wait.h"
#include "hooks/program.h"
#include "server/program/environment.h"
#include "server/program/libfcgi_pool.h"
#include "server/program/module.h"
#include "server/program/program_answer.h"
#include "server/program/program_io.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kIdleRuns = 256;  // kept for later requests, about 20 KiB each
constexpr std::chrono::seconds kLookAgain{1};

// Run is what one request needs, kept for others when it is over.
struct Run {
  hooks::Program program;
  EnvironmentBlock environment;
  RequestInput input;
  ResponseOutput output;
  ErrorLines errors;
  hooks::ProgramResult result;
};

// RunPool lends Runs.
class RunPool {
 public:
  static RunPool& OfThread() {
    thread_local RunPool pool;
    return pool;
  }
  std::unique_ptr<Run> Take() {
    if (idle_.empty()) return std::make_unique<Run>();
    std::unique_ptr<Run> run = std::move(idle_.back());
    idle_.pop_back();
    return run;
  }
  void GiveBack(std::unique_ptr<Run> run) {
    if (idle_.size() < kIdleRuns) idle_.push_back(std::move(run));
  }

 private:
  std::vector<std::unique_ptr<Run>> idle_;
};

// Places bounds how many requests run at once.
class Places {
 public:
  explicit Places(size_t limit) : limit_(limit) {}
  // Enter() waits for a place; false after `deadline` or if cancelled. Yields.
  bool Enter(coroutine::Deadline deadline) {
    while (limit_ != 0 && taken_ >= limit_) {
      waiting_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
      if (coroutine::Park(coroutine::WaitKind::kAdmission, 0, deadline) !=
          coroutine::WakeReason::kReady)
        return false;
    }
    ++taken_;
    return true;
  }
  void Leave() {
    --taken_;
    waiting_.WakeOne();
  }

 private:
  size_t limit_;
  size_t taken_ = 0;
  coroutine::WaitList waiting_;
};

class ProgramHandler final : public cgi::Handler {
 public:
  ProgramHandler(std::string path, ProgramOptions options, std::shared_ptr<Module> module)
      : path_(std::move(path)),
        options_(std::move(options)),
        directory_(options_.working_directory.empty() ? DirectoryOf(path_)
                                                      : options_.working_directory),
        places_(options_.max_running),
        module_(std::move(module)) {}

  void Serve(cgi::Request& request, cgi::Response& response) override;

 private:
  void LookForNewVersion();
  void Execute(Run& run, Module& module);
  std::unique_ptr<Run> ExecuteElsewhere(std::unique_ptr<Run> run, std::shared_ptr<Module> module,
                                        bool pinned);

  const std::string path_;
  const ProgramOptions options_;
  const std::string directory_;
  Places places_;
  std::shared_ptr<Module> module_;
  coroutine::Deadline look_again_{};
  bool looking_ = false;  // somebody is, which may take as long as the disk does
};

void ProgramHandler::LookForNewVersion() {
  const coroutine::Deadline now = coroutine::CoarseNow();
  if (now < look_again_ || looking_) return;
  struct Looking {
    bool& looking;
    explicit Looking(bool& flag) : looking(flag) { looking = true; }
    ~Looking() { looking = false; }
  } const looking(looking_);
  look_again_ = now + kLookAgain;
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0 || FileVersion(info) == module_->version()) return;
  std::string error;
  if (std::shared_ptr<Module> changed = Module::Load(path_, &error)) module_ = std::move(changed);
  // A file that is being written does not load yet: the old version serves until it does.
}

void ProgramHandler::Serve(cgi::Request& request, cgi::Response& response) {
  if (!places_.Enter(request.deadline()))
    return FailProgram(path_, options_, request, response, 503, "no place for another request");
  struct Leaver {
    Places& places;
    ~Leaver() { places.Leave(); }
  } leaver{places_};

  LookForNewVersion();
  const std::shared_ptr<Module> module = module_;  // stays loaded while this request runs
  std::unique_ptr<Run> run = RunPool::OfThread().Take();
  run->environment.Build(request, options_.environment, path_);
  run->input.Begin(request);
  run->output.Begin(response, options_.max_output);
  run->errors.Begin([this, &request](std::string_view line) {
    LogProgram(options_, request, line, ProgramLine::kStderr);
  });
  if (options_.stack_size == 0 && options_.stack_mode == coroutine::StackMode::kShared)
    Execute(*run, *module);
  else
    run =
        ExecuteElsewhere(std::move(run), module,
                         coroutine::OnSharedStack(&request) || coroutine::OnSharedStack(&response));
  run->errors.Finish();
  if (run->result.crashed && options_.on_crash) options_.on_crash();
  AnswerProgram(path_, options_, run->output, run->result, request, response);
  // What a crashed program used is not used again.
  if (run->result.crashed) return static_cast<void>(run.release());
  RunPool::OfThread().GiveBack(std::move(run));
}

void ProgramHandler::Execute(Run& run, Module& module) {
  hooks::ProgramStart start;
  start.image = &module.image();
  start.argc = 1;
  start.argv = run.environment.arguments();
  start.environment = run.environment.variables();
  start.standard[0] = &run.input;
  start.standard[1] = &run.output;
  start.standard[2] = &run.errors;
  start.directory = directory_.c_str();
  start.max_heap = options_.max_heap;
  run.result = run.program.Run(start);
}

// What both coroutines of a run elsewhere have. It ends with the second of them.
struct Elsewhere {
  std::unique_ptr<Run> run;
  std::shared_ptr<Module> module;
  coroutine::WaitList done;
  bool ended = false;
  std::exception_ptr failure;  // there was no memory to begin with
};

// Abandoner ends the program's coroutine if the caller's is unwound before it: without running
// anything of it, since the connection that it would write to is going.
struct Abandoner {
  const std::shared_ptr<Elsewhere>& elsewhere;
  coroutine::Coroutine* program;
  ~Abandoner() {
    if (!elsewhere->ended) coroutine::Abandon(program);
  }
};

// Runs it in a coroutine with a stack of its own, and passes a cancel on. That one reads the body
// and writes the answer itself, so nothing of the request may lie on this coroutine's stack, which
// others use meanwhile: front ends have all of it on the heap. Who has not asks for it to be
// `pinned`.
std::unique_ptr<Run> ProgramHandler::ExecuteElsewhere(std::unique_ptr<Run> run,
                                                      std::shared_ptr<Module> module, bool pinned) {
  const auto elsewhere = std::make_shared<Elsewhere>();
  elsewhere->run = std::move(run);
  elsewhere->module = std::move(module);
  std::optional<coroutine::PinScope> pin;
  if (pinned) pin.emplace();
  coroutine::Coroutine& self = *coroutine::Current();
  // What is carried over switches of the one coroutine is so for the other: the clock of the
  // request.
  coroutine::SwitchHook* const hook = coroutine::SwitchHookOf(self);
  coroutine::Coroutine* const program = coroutine::Go(
      [this, elsewhere, hook] {
        coroutine::SetSwitchHook(*coroutine::Current(), hook);
        try {
          Execute(*elsewhere->run, *elsewhere->module);
        } catch (const std::bad_alloc&) {
          elsewhere->failure = std::current_exception();
        }
        coroutine::SetSwitchHook(*coroutine::Current(), nullptr);
        elsewhere->ended = true;
        elsewhere->done.WakeAll();
      },
      {.stack_mode = options_.stack_mode,
       .stack_size = options_.stack_size,
       .name = path_.c_str()});
  const Abandoner abandoner{elsewhere, program};
  bool cancelled = false;
  while (!elsewhere->ended) {
    elsewhere->done.Add(coroutine::WaitNodeOf(self));
    if (coroutine::Park(coroutine::WaitKind::kJoin, coroutine::Id(*program)) !=
        coroutine::WakeReason::kCancelled)
      continue;
    cancelled = true;
    coroutine::ClearCancel(self);
    coroutine::Cancel(*program);
  }
  if (cancelled) coroutine::Cancel(self);
  if (elsewhere->failure != nullptr) std::rethrow_exception(elsewhere->failure);
  return std::move(elsewhere->run);
}

}  // namespace

std::unique_ptr<cgi::Handler> MakeProgramHandler(const std::string& path, ProgramOptions options,
                                                 std::string* error) {
  std::shared_ptr<Module> module = Module::Load(path, error);
  if (module == nullptr) return nullptr;
  if (module->image().uses_libfcgi)
    return std::make_unique<LibfcgiPool>(path, std::move(options), std::move(module));
  return std::make_unique<ProgramHandler>(path, std::move(options), std::move(module));
}

// Loading reads a file, and may yield: whoever else asks for the program meanwhile waits for that
// load. A second handler in the first one's place would pull it from under its requests.
struct ProgramLibrary::Impl {
  struct Entry {
    std::unique_ptr<cgi::Handler> handler;  // null: not loaded
    bool loading = false;
    uint64_t loads = 0;
    std::string failure;  // of the last load
    coroutine::WaitList waiting;
  };
  // Loading marks an entry for as long as its module is being loaded, however that ends.
  struct Loading {
    explicit Loading(Entry& of) : entry(of) { entry.loading = true; }
    ~Loading() {
      entry.loading = false;
      ++entry.loads;
      entry.waiting.WakeAll();
    }
    Entry& entry;
  };

  ProgramOptions options;
  std::map<std::string, Entry, std::less<>> entries;  // none is ever taken out
};

ProgramLibrary::ProgramLibrary(ProgramOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
}
ProgramLibrary::~ProgramLibrary() = default;

cgi::Handler* ProgramLibrary::Find(const std::string& path, std::string* error) {
  const auto found = impl_->entries.find(path);
  Impl::Entry& entry = found != impl_->entries.end() ? found->second : impl_->entries[path];
  if (entry.loading) {
    const uint64_t loads = entry.loads;
    while (entry.loads == loads) {
      entry.waiting.Add(coroutine::WaitNodeOf(*coroutine::Current()));
      if (coroutine::Park(coroutine::WaitKind::kThread, 0) == coroutine::WakeReason::kCancelled) {
        *error = "the request was cancelled while its program was loaded: " + path;
        return nullptr;
      }
    }
    if (entry.handler == nullptr) *error = entry.failure;
    return entry.handler.get();
  }
  if (entry.handler == nullptr) {
    const Impl::Loading loading(entry);
    entry.failure = "no memory to load the program " + path;  // unless something else is the matter
    entry.handler = MakeProgramHandler(path, impl_->options, error);
    if (entry.handler == nullptr) entry.failure = *error;
  }
  return entry.handler.get();
}

void ProgramLibrary::End(cgi::Deadline deadline) {
  for (const auto& [path, entry] : impl_->entries)
    if (entry.handler != nullptr) entry.handler->End(deadline);
}

}  // namespace cogi::server
