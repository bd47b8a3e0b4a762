// LibfcgiExchange: one request between two sides. The connection's coroutine alone touches the
// Request and the Response; the program that answers, a coroutine or one of its threads, asks it to
// read and write. So a cancelled request needs no word of the program, and a thread none of the
// scheduler's locks.
//
// All members belong to the scheduler's thread, but what LibfcgiRequest offers the program.
#ifndef COGI_SERVER_PROGRAM_LIBFCGI_EXCHANGE_H_
#define COGI_SERVER_PROGRAM_LIBFCGI_EXCHANGE_H_

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "cgi/handler.h"
#include "coroutine/scheduler.h"
#include "coroutine/wait.h"
#include "hooks/libfcgi.h"
#include "hooks/program.h"
#include "server/program/environment.h"
#include "server/program/program_handler.h"
#include "server/program/program_io.h"

namespace cogi::server {

class LibfcgiInstance;

// ThreadGate is the way of a program's threads to the scheduler, as long as that is there.
class ThreadGate {
 public:
  explicit ThreadGate(coroutine::Scheduler* scheduler) : scheduler_(scheduler) {}
  // Post() as Scheduler::Post(). False, and nothing is done, after Close(). Thread-safe.
  bool Post(std::function<void()> work);
  void Close();

 private:
  std::mutex mutex_;
  coroutine::Scheduler* scheduler_;
};

class LibfcgiExchange final : public hooks::LibfcgiRequest,
                              public std::enable_shared_from_this<LibfcgiExchange> {
 public:
  // Take() borrows one from the thread's pool, for `request`.
  [[nodiscard]] static std::shared_ptr<LibfcgiExchange> Take(const std::string& path,
                                                             const ProgramOptions& options,
                                                             cgi::Request& request,
                                                             cgi::Response& response);

  // The connection's side.
  //
  // Serve() does what the program asks for, until it has finished or ended, and completes the
  // answer. False if the caller is cancelled first: then Abandon() before anything else. Yields.
  [[nodiscard]] bool Serve();
  // Abandon() tells the program, should it go on, that the client has gone.
  void Abandon();
  // Fail() completes the answer of a request that no program has finished. May yield.
  void Fail(const hooks::ProgramResult& result);

  // The instance's side.
  //
  // GiveTo() hands it to an accept call of `instance` on `thread` (0: in its coroutine). Any thread
  // of the program may use it from then on, through `gate`.
  void GiveTo(LibfcgiInstance& instance, pthread_t thread, std::shared_ptr<ThreadGate> gate);
  // InstanceEnded() tells that nobody will finish it, or, `threads_go_on`, that a thread still may.
  void InstanceEnded(const hooks::ProgramResult& result, bool threads_go_on);
  // Disown() takes it from a program whose threads have all ended without finishing it. The object
  // may be another request's after it.
  void Disown();
  // user() is the thread that has used it last; 0: the program's coroutine.
  [[nodiscard]] pthread_t user() const { return user_; }

  // LibfcgiRequest:
  ssize_t Read(void* buffer, size_t size) override;
  bool Write(std::string_view bytes, bool flush) override;
  void WriteError(std::string_view bytes) override;
  void Finish(bool broken) override;

 private:
  enum class What : uint8_t { kNothing, kRead, kWrite, kError };
  enum class Step : uint8_t { kOpen, kFinished, kBroken, kEnded };
  struct Asked {
    What what = What::kNothing;
    void* buffer = nullptr;
    size_t size = 0;
    bool flush = false;
    pthread_t thread = 0;  // who waits for the answer; 0: the program's coroutine
  };

  ssize_t Ask(const Asked& asked);
  ssize_t AskFromThread(Asked asked);
  void Post(const Asked& asked);
  void Perform();
  void Answer(ssize_t result, int error);
  void Release(Step step);
  void Complete();

  const std::string* path_ = nullptr;
  const ProgramOptions* options_ = nullptr;
  cgi::Request* request_ = nullptr;
  cgi::Response* response_ = nullptr;
  EnvironmentBlock block_;
  RequestInput input_;
  ResponseOutput output_;
  ErrorLines errors_;

  Step step_ = Step::kOpen;
  bool abandoned_ = false;
  Asked asked_;
  ssize_t result_ = 0;
  int error_ = 0;
  std::atomic<uint32_t> answered_{0};  // a thread waits for it
  hooks::ProgramResult program_result_;
  LibfcgiInstance* instance_ = nullptr;
  pthread_t user_ = 0;
  std::shared_ptr<ThreadGate> gate_;
  std::shared_ptr<LibfcgiExchange> programs_hold_;  // while the program has it
  coroutine::WaitList connection_;                  // the connection's coroutine
  coroutine::WaitList program_;                     // the program's
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LIBFCGI_EXCHANGE_H_
