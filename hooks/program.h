// Program: one run of an unmodified main() as a fresh process, in the calling coroutine. It holds
// what a process would have of its own, puts it in place whenever its coroutine gets the turn, and
// cleans up at its end. Programs are kept and used again: a run allocates next to nothing.
//
// Belongs to one thread.
#ifndef COGI_HOOKS_PROGRAM_H_
#define COGI_HOOKS_PROGRAM_H_

#include <locale.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "hooks/program_descriptors.h"
#include "hooks/program_heap.h"
#include "hooks/program_image.h"
#include "hooks/program_path.h"
#include "hooks/program_signals.h"
#include "hooks/program_state.h"
#include "hooks/program_stdio.h"

namespace cogi::hooks {

class LibfcgiHost;

// What a run starts with. Everything it points to must live until Run() has returned.
struct ProgramStart {
  ProgramImage* image = nullptr;
  int argc = 0;
  char** argv = nullptr;  // ended by null; the strings are the program's to change
  char** environment =
      nullptr;  // ended by null; the array and the strings are the program's to change
  VirtualFile* standard[3] = {nullptr, nullptr, nullptr};  // its descriptors 0 to 2; null: closed
  const char* directory = nullptr;       // its working directory, absolute; null: the process's
  size_t max_heap = 0;                   // bytes; 0: no limit
  std::shared_ptr<LibfcgiHost> libfcgi;  // what its accept calls ask; null: a CGI program
};

// How a run ended.
enum class ProgramEnd : uint8_t {
  kExited,     // main() returned or exit(); also _exit() and the like
  kAborted,    // abort(), std::terminate(), a failed assertion
  kSignalled,  // a signal whose action is to end the process
  kCancelled,  // its coroutine was cancelled
  kStuck,      // it computed for too long, see AbandonStuck()
};

struct ProgramResult {
  ProgramEnd end = ProgramEnd::kExited;
  int status = 0;            // kExited: the exit status, 0 to 255. kSignalled: the signal
  size_t peak_heap = 0;      // bytes
  size_t leaked_blocks = 0;  // blocks of memory that were freed for it
  // It crashed: the process may be damaged, and should be replaced when its other work is done.
  // Where it happened is in `frames`, innermost first, from the signal handler to the program's
  // main(): of a deep stack the innermost and the outermost ones.
  bool crashed = false;
  static constexpr int kInnermost = 16;
  static constexpr int kFrames = 24;
  int frame_count = 0;
  int frames_left_out = 0;  // after the first kInnermost
  void* frames[kFrames];
};

class COGI_API Program final : public ProgramState, public coroutine::SwitchHook {
 public:
  Program();
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Run() runs the program from its constructors to its exit handlers in the calling coroutine,
  // whose program slot it uses meanwhile; it puts its own switch hook before the one it finds.
  // Throws std::bad_alloc before anything of the program has run. Yields whenever the program
  // waits.
  ProgramResult Run(const ProgramStart& start);

  // Current() is the program whose code runs now on this thread; null in server code (ServerScope).
  [[nodiscard]] static Program* Current() noexcept { return t_current; }

  // ProgramState:
  Descriptor Resolve(int fd) noexcept override;
  void Opened(int fd) noexcept override { descriptors_.Opened(fd); }
  void Closed(int fd) noexcept override { descriptors_.Closed(fd); }
  int Dup2(int fd, int target) noexcept override { return descriptors_.Dup2(fd, target); }
  int CloseStandard(int fd) noexcept override { return descriptors_.CloseStandard(fd); }
  int DupVirtual(int fd, int lowest) noexcept override {
    return descriptors_.DupVirtual(fd, lowest);
  }
  bool CloseVirtual(int fd) noexcept override { return descriptors_.CloseVirtual(fd); }
  void EnteredChild() noexcept override { forked_ = true; }
  int Place(int fd) noexcept override { return descriptors_.Place(fd); }
  bool OwnsAddress(const void* address) noexcept override {
    // With threads in it, a program is alone in its memory: a lock there is one lock for all.
    return image_ != nullptr && !has_threads_ && image_->addresses.Contains(address);
  }

  // SwitchHook:
  void Enter(coroutine::Coroutine& self) noexcept override;
  void Leave(coroutine::Coroutine& self) noexcept override;

  // The ways to end, for the functions that interpose exit(3) and its kin. Exit() runs the exit
  // handlers; Terminate() does not. Called on the program's own stack, which is abandoned as it is:
  // no destructor of an automatic object runs.
  [[noreturn]] void Exit(int status) noexcept;
  [[noreturn]] void QuickExit(int status) noexcept;
  [[noreturn]] void Terminate(ProgramEnd end, int status) noexcept;

  // Exit handlers. Registration fails (false) only without memory.
  using Handler = void (*)(void*);
  bool AddExitHandler(Handler handler, void* argument, void* dso) noexcept;
  bool AddOnExit(void (*handler)(int, void*), void* argument) noexcept;
  bool AddQuickExitHandler(Handler handler) noexcept;
  bool AddThreadExitHandler(Handler handler, void* object) noexcept;
  // RunExitHandlers() runs and forgets those of `dso`, as __cxa_finalize() does; null: all.
  void RunExitHandlers(const void* dso) noexcept;

  // The environment. As the functions of libc without "Env".
  int SetEnv(const char* name, const char* value, bool overwrite) noexcept;
  int UnsetEnv(const char* name) noexcept;
  int PutEnv(char* assignment) noexcept;

  [[nodiscard]] StandardFiles& standard_files() noexcept { return standard_files_; }
  [[nodiscard]] OpenFiles& open_files() noexcept { return open_files_; }
  [[nodiscard]] ProgramDescriptors& descriptors() noexcept { return descriptors_; }
  [[nodiscard]] const ProgramImage& image() const noexcept { return *image_; }
  void FlushFiles() noexcept;

  // The host of its accept calls, or null.
  [[nodiscard]] LibfcgiHost* libfcgi() const noexcept { return libfcgi_.get(); }

  // StartsThread() is called before a program of which that is known (ProgramImage::uses_threads)
  // starts a thread. From its first on blocks of memory are nobody's: a thread frees what it was
  // given. SharesWithThreads() is the same from outside of the program, for threads that a library
  // has started.
  void StartsThread();
  void SharesWithThreads();
  [[nodiscard]] bool has_threads() const noexcept { return has_threads_; }

  [[nodiscard]] ProgramSignals& signals() noexcept { return signals_; }
  // Interrupt() makes a program that waits go on to AfterInterruption(), which every hooked call
  // does at its end when t_interrupted is set: it runs signal handlers, and ends a cancelled
  // program.
  void Interrupt() noexcept;
  void AfterInterruption() noexcept;
  // EndSoon() ends the program from outside of it, as exit(status) would (kExited), or as `end`
  // says: now if it waits in a hooked call, else at its next one.
  void EndSoon(ProgramEnd end, int status) noexcept;
  // Crash() ends the program from the handler of a fatal signal.
  [[noreturn]] void Crash(int signal) noexcept;
  // AbandonStuck() ends the program that this thread is running as a crash would (kStuck, and
  // `crashed`: the process should be replaced), from the handler of a signal that has interrupted
  // it. `context` is the handler's third argument. In the code of the server or a library, which
  // must not be left half done, it returns, and the program ends when its call does. No program
  // runs, or its call cannot be followed, or does not end: nothing happens; a moment later
  // something may. The handler is left by a jump, so its signal must not be blocked in it
  // (SA_NODEFER).
  static void AbandonStuck(const void* context) noexcept;
  // ReturnedStuck() is the end of that, in the program's own code.
  [[noreturn]] void ReturnedStuck() noexcept;

  // The working directory and the umask.
  [[nodiscard]] ProgramPlace& place() noexcept { return place_; }
  // True while stdio writes because its buffer is full or because the program ends, not because the
  // program asked for it: such output need not reach the client at once.
  bool output_may_wait = false;
  // The locale that setlocale() has built for it, null: the process's.
  locale_t locale = nullptr;
  // The C++ locale that it has made global, in place while its coroutine has the turn; null: the
  // process's (program_cxx_locale.cpp).
  struct CxxLocale;
  CxxLocale* cxx_locale = nullptr;
  // What else libc keeps per process and is made at first use (program_libc.cpp).
  struct LibcState;
  std::unique_ptr<LibcState> libc_state;

 private:
  friend class ServerScope;
  enum class Phase : uint8_t { kIdle, kRunning, kEnding };

  struct ExitHandler {
    Handler handler;
    void (*on_exit)(int, void*);
    void* argument;
    const void* dso;
  };
  struct GetoptState {
    int index, errors, option;
    char* argument;
  };

  void Prepare(const ProgramStart& start);
  [[gnu::noinline]] void CallMain() noexcept;
  [[noreturn]] void Main() noexcept;
  void CleanUp() noexcept;
  void Call(const ExitHandler& handler) noexcept;
  void RunThreadExitHandlers() noexcept;
  char* Remember(const char* name, size_t name_size, const char* value) noexcept;
  bool AppendEnv(char* assignment) noexcept;

  static constinit thread_local Program* t_current __attribute__((tls_model("initial-exec")));

  ProgramImage* image_ = nullptr;
  coroutine::Coroutine* self_ = nullptr;
  coroutine::SwitchHook* outer_hook_ = nullptr;
  Phase phase_ = Phase::kIdle;
  ProgramResult result_;
  void* jump_[5] = {};  // where Terminate() goes
  uintptr_t exception_globals_[2] = {};

  // What Enter() puts in place, and Leave() takes away again.
  char** environ_ = nullptr;
  FILE* stdin_ = nullptr;
  FILE* stdout_ = nullptr;
  FILE* stderr_ = nullptr;
  bool heap_tracking_ = false;
  bool forked_ = false;  // this is the child of a fork
  bool in_place_ = false;
  bool has_threads_ = false;
  Program* current_ = nullptr;
  GetoptState getopt_{};
  SwappedMemory::Holder data_;
  SwappedMemory::Holder streams_;
  FcgiStdio fcgi_stdio_{};

  int argc_ = 0;
  char** argv_ = nullptr;
  std::shared_ptr<LibfcgiHost> libfcgi_;
  ProgramPlace place_;
  ProgramSignals signals_{*this};
  bool interrupted_ = false;  // the coroutine's cancel mark is ours
  bool stuck_ = false;        // AbandonStuck() has seen to its end
  struct WantedEnd {
    ProgramEnd end;
    int status;
  };
  std::optional<WantedEnd> wanted_end_;  // EndSoon()
  size_t fini_left_ = 0;
  bool fini_done_ = false;

  ProgramHeap heap_;
  ProgramDescriptors descriptors_;
  StandardFiles standard_files_;
  OpenFiles open_files_;
  std::vector<ExitHandler> exit_handlers_;
  std::vector<ExitHandler> quick_exit_handlers_;
  std::vector<ExitHandler> thread_exit_handlers_;
  std::vector<char*> own_environment_;  // the array, once the program has changed it
  std::vector<std::unique_ptr<char[]>> own_variables_;  // what setenv() made
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_H_
