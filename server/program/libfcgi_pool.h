// LibfcgiPool: the handler of a libfcgi program. It has as many instances of the program as
// requests are answered at once, started when they are wanted; each has static data of its own, as
// the processes of a FastCGI process manager have. Which program is one:
// ProgramImage::uses_libfcgi.
//
// - The first instance runs alone up to its first accept, or to its second one if its code starts
//   threads anywhere. If it has started threads by then, it stays the only one: its threads are the
//   concurrency that its author chose, and the static data in place is theirs. The module's memory
//   is never used for another instance then, nor freed.
// - An instance whose request is cancelled (deadline, client gone) is ended; another takes its
//   place when it is wanted.
// - An instance that has been idle for options.max_idle ends (its accept returns -1), the last one
//   apart. A changed file retires the instances of the old one after their requests.
#ifndef COGI_SERVER_PROGRAM_LIBFCGI_POOL_H_
#define COGI_SERVER_PROGRAM_LIBFCGI_POOL_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cgi/handler.h"
#include "server/program/libfcgi_exchange.h"
#include "server/program/libfcgi_instance.h"
#include "server/program/program_handler.h"

namespace cogi::server {

class LibfcgiPool final : public cgi::Handler {
 public:
  LibfcgiPool(std::string path, ProgramOptions options, std::shared_ptr<Module> module);
  ~LibfcgiPool() override;

  void Serve(cgi::Request& request, cgi::Response& response) override;
  void End(cgi::Deadline deadline) override;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const ProgramOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<ThreadGate>& gate() const { return gate_; }
  [[nodiscard]] size_t instances() const { return instances_.size(); }

  // What instances tell, on the scheduler's thread.
  //
  // Offer() gives the acceptor a request, or the end, and returns true; or keeps it until there is
  // one of both, and returns false. `first` is true at the instance's first accept.
  bool Offer(AcceptCall& acceptor, bool first);
  void Withdraw(AcceptCall& acceptor);
  void EndAcceptorsOf(const LibfcgiInstance& instance);
  void HasThreads(LibfcgiInstance& instance);
  void Ended(LibfcgiInstance& instance, const hooks::ProgramResult& result);
  // StartInstances() starts those that requests wait for, as far as it may.
  void StartInstances();
  // HasOthers() is true if there is more than one instance of the current file.
  [[nodiscard]] bool HasOthers() const;
  void Log(std::string_view line, ProgramLine kind) const;

 private:
  void LookForNewVersion();
  void Dispatch(const std::shared_ptr<LibfcgiExchange>& exchange);
  [[nodiscard]] bool MayStart() const;
  bool StartOne();
  bool LoadAgain(std::string* error);
  void FailFirst(const hooks::ProgramResult& result);
  [[nodiscard]] bool IsCurrent(const LibfcgiInstance& instance) const;

  const std::string path_;
  const ProgramOptions options_;
  const std::string directory_;
  const std::shared_ptr<ThreadGate> gate_;
  std::shared_ptr<Module> module_;
  bool module_spent_ = false;  // threads have its memory
  bool loading_ = false;
  bool proven_ = false;  // whether instances of module_ start threads is known
  bool ending_ = false;
  coroutine::Deadline look_again_{};

  std::vector<std::shared_ptr<LibfcgiInstance>> instances_;
  size_t starting_ = 0;            // of those, how many have not reached their first accept
  std::vector<AcceptCall*> idle_;  // the last one gets the next request
  std::deque<std::shared_ptr<LibfcgiExchange>> pending_;
  coroutine::WaitList ended_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LIBFCGI_POOL_H_
