// LibfcgiInstance: one run of a libfcgi program, with static data, descriptors and heap of its own,
// in a coroutine; its accept calls take requests from the program's LibfcgiPool. Threads that it
// starts may accept, too: they go through the scheduler's thread.
#ifndef COGI_SERVER_PROGRAM_LIBFCGI_INSTANCE_H_
#define COGI_SERVER_PROGRAM_LIBFCGI_INSTANCE_H_

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coroutine/wait.h"
#include "hooks/libfcgi.h"
#include "hooks/program.h"
#include "server/program/environment.h"
#include "server/program/libfcgi_exchange.h"
#include "server/program/module.h"
#include "server/program/program_io.h"

namespace cogi::server {

class LibfcgiPool;

// AcceptCall is one accept call that waits.
struct AcceptCall {
  LibfcgiInstance* instance = nullptr;
  pthread_t thread = 0;  // 0: the program's coroutine
  std::shared_ptr<LibfcgiExchange> got;
  bool over = false;               // there will be none
  coroutine::WaitList waiting;     // the coroutine
  std::atomic<uint32_t> woken{0};  // a thread
  void Wake();
};

// ListeningEnd is descriptor 0: a FastCGI process has its listening socket there.
class ListeningEnd final : public hooks::VirtualFile {
 public:
  ssize_t Readv(const iovec* pieces, int count) override;
  ssize_t Writev(const iovec* pieces, int count) override;
};

class LibfcgiInstance final : public hooks::LibfcgiHost {
 public:
  LibfcgiInstance(LibfcgiPool& pool, std::shared_ptr<Module> module);
  ~LibfcgiInstance() override;

  // Make() makes one that is destroyed on the scheduler's thread, as long as that is there, even
  // if a thread of the program is the last to let it go.
  [[nodiscard]] static std::shared_ptr<LibfcgiInstance> Make(LibfcgiPool& pool,
                                                             std::shared_ptr<Module> module);

  // Start() spawns the coroutine, which holds on to the instance. Throws std::system_error.
  void Start();
  // Retire() lets its accept calls return without a request.
  void Retire();
  // Cancel() ends it, wherever it is. Not possible with threads in it.
  void Cancel();

  // Abandon() is told that nobody waits for `exchange` any more, which this instance has: its
  // program is ended. A thread cannot be: it goes on, and what it writes is dropped.
  void Abandon(LibfcgiExchange& exchange);
  // Finished() is told that the program has given `exchange` back.
  void Finished(LibfcgiExchange& exchange);
  // Give() is what LibfcgiPool gives a request by.
  void Give(AcceptCall& acceptor, std::shared_ptr<LibfcgiExchange> exchange);

  [[nodiscard]] const std::shared_ptr<Module>& module() const { return module_; }
  [[nodiscard]] bool has_accepted() const { return has_accepted_; }
  [[nodiscard]] bool has_threads() const { return has_threads_; }
  [[nodiscard]] bool retired() const { return retired_; }

  // LibfcgiHost:
  hooks::LibfcgiRequest* Accept(bool* interrupted) override;
  void StartsThread() override;
  void ThreadEnds(hooks::ProgramEnd end, int status) override;
  void MainEnds(int status, bool by_exit) override;
  bool AwaitEnd() override;

 private:
  void Run();
  void Ended(const hooks::ProgramResult& result);
  void EndFor(pthread_t thread, hooks::ProgramEnd end, int status);
  void LoseRequestsOf(pthread_t thread, const hooks::ProgramResult& result);
  void LeaveToThreads(LibfcgiExchange& exchange);
  void EndOnceIdle();
  void TakeLine(std::string_view line);
  [[nodiscard]] bool Offer(AcceptCall& acceptor);
  void Withdraw(AcceptCall& acceptor);
  hooks::LibfcgiRequest* AcceptOnThread();

  LibfcgiPool* pool_;  // null when it is gone, or this run has ended
  const std::shared_ptr<Module> module_;
  const std::shared_ptr<ThreadGate> gate_;
  coroutine::Coroutine* coroutine_ = nullptr;
  bool has_accepted_ = false;
  bool has_threads_ = false;
  bool retired_ = false;
  std::optional<hooks::ProgramResult> wanted_end_;  // a thread has called exit() or abort()
  std::vector<LibfcgiExchange*> held_;
  // Those that nobody waits for any more, while a thread may still have them. What no thread has
  // finished when the last of them has ended is freed with the instance.
  std::vector<LibfcgiExchange*> left_;
  AcceptCall acceptor_;  // the coroutine's
  coroutine::WaitList end_;

  std::unique_ptr<hooks::Program> program_;
  EnvironmentBlock environment_;
  ListeningEnd input_;
  ErrorLines lines_;  // descriptors 1 and 2

  friend class LibfcgiPool;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LIBFCGI_INSTANCE_H_
