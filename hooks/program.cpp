#include "hooks/program.h"

#include <cxxabi.h>
#include <getopt.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "coroutine/sanitizers.h"
#include "hooks/fd_table.h"
#include "hooks/libfcgi.h"
#include "hooks/lock.h"
#include "hooks/process_spawn.h"
#include "hooks/program_call.h"
#include "hooks/program_cxx_locale.h"
#include "hooks/program_libc.h"
#include "hooks/program_streams.h"
#include "hooks/real.h"
#include "hooks/thread_keys.h"

#if COGI_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace cogi::hooks {

constinit thread_local Program* Program::t_current = nullptr;
constinit thread_local bool t_interrupted = false;

namespace {

// The process's own, in place while no program is.
struct ProcessState {
  char** environment;
  FILE* in;
  FILE* out;
  FILE* err;
};
constinit thread_local ProcessState t_process{};

// The end of a forked child, which is a process: as its program has it, by the kernel's own calls.
[[noreturn]] void EndChild(ProgramEnd end, int status) noexcept {
  if (end != ProgramEnd::kExited) {
    const int signal = end == ProgramEnd::kSignalled ? status : SIGABRT;
    const struct {
      void* handler;
      unsigned long flags;
      void* restorer;
      unsigned long mask;
    } by_default{};
    const unsigned long nothing = 0;
    real::syscall(SYS_rt_sigaction, signal, reinterpret_cast<long>(&by_default), 0, sizeof nothing,
                  0, 0);
    real::syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&nothing), 0,
                  sizeof nothing, 0, 0);
    real::syscall(SYS_kill, getpid(), signal, 0, 0, 0, 0);
  }
  for (;;) real::syscall(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

}  // namespace

Program::Program() {
  InstallTerminateHandler();
  InstallCrashHandler();
}
Program::~Program() = default;

void Program::Prepare(const ProgramStart& start) {
  image_ = start.image;
  image_->memory.Prepare(data_);
  if (image_->uses_libstdcxx) CxxStreams::Instance().Prepare(streams_);
  standard_files_.Reset();
  descriptors_.Begin(start.standard);
  argc_ = start.argc;
  argv_ = start.argv;
  environ_ = start.environment;
  stdin_ = standard_files_[0];
  stdout_ = standard_files_[1];
  stderr_ = standard_files_[2];
  getopt_ = {1, 1, '?', nullptr};
  place_.Begin(start.directory);
  output_may_wait = false;
  fini_left_ = image_->fini_array.size();
  fini_done_ = false;
  heap_.Begin(image_->addresses, image_->uses_libstdcxx ? LibstdcxxAddresses() : AddressRange{},
              start.max_heap);
  heap_tracking_ = true;
  current_ = this;
  result_ = {};
  interrupted_ = false;
  stuck_ = false;
  wanted_end_.reset();
  libfcgi_ = start.libfcgi;
  fcgi_stdio_ = {};
}

ProgramResult Program::Run(const ProgramStart& start) {
  Prepare(start);
  self_ = coroutine::Current();
  std::memcpy(exception_globals_, abi::__cxa_get_globals(), sizeof exception_globals_);
  phase_ = Phase::kRunning;
  coroutine::SetProgramSlot(*self_, static_cast<ProgramState*>(this));
  outer_hook_ = coroutine::SwitchHookOf(*self_);
  coroutine::SetSwitchHook(*self_, this);
  CallMain();
  CleanUp();
  return result_;
}

// Terminate() comes back here: the frames above this one are left as they are.
void Program::CallMain() noexcept {
  if (__builtin_setjmp(jump_) == 0) Main();
}

void Program::Main() noexcept {
  if (image_->init != nullptr) CallOutermost(image_->init, argc_, argv_, environ);
  for (const ProgramImage::Initializer initializer : image_->init_array)
    CallOutermost(initializer, argc_, argv_, environ);
  const int status = CallOutermost(image_->main, argc_, argv_, environ);
  if (has_threads_ && libfcgi_ != nullptr) libfcgi_->MainEnds(status, false);
  Exit(status);
}

void Program::Terminate(ProgramEnd end, int status) noexcept {
  // No exception passes the frame at which AbandonStuck() ends it: std::terminate() is that end
  // too.
  if (stuck_ && end == ProgramEnd::kAborted) {
    end = ProgramEnd::kStuck;
    result_.crashed = true;
  }
  result_.end = end;
  result_.status = end == ProgramEnd::kExited ? status & 0xff : status;
  if (forked_) EndChild(end, status);
#if COGI_ASAN
  // The frames that are left for good keep their red zones otherwise. jump_[2] is CallMain()'s
  // stack pointer.
  char* const low = static_cast<char*>(__builtin_frame_address(0)) - 4096;
  coroutine::Unpoison(low, jump_[2]);
#endif
  __builtin_longjmp(jump_, 1);
}

void Program::CleanUp() noexcept {
  phase_ = Phase::kEnding;
  // From here on it is the server that runs: descriptors mean the kernel's.
  coroutine::SetProgramSlot(*self_, nullptr);
  t_current = nullptr;
  t_heap.tracking = false;
  std::memcpy(abi::__cxa_get_globals(), exception_globals_, sizeof exception_globals_);
  EndKeys(*this);
  signals_.End();
  has_threads_ = false;
  libfcgi_ = nullptr;
  if (interrupted_) coroutine::ClearCancel(*self_);
  if (result_.crashed) {
    // What malloc keeps may be damaged: nothing is freed. The process will not live long.
    heap_.Forget();
    open_files_.Forget();
  }
  open_files_.CloseAll([this](int fd) {
    if (fd < 0) return;
    descriptors_.Forget(fd);
    FdTable::Release(fd);
  });
  descriptors_.CloseAll();
  ReleaseLocks(*self_);
  FinishChildren(*this);
  ReleaseCxxLocale(*this);
  ReleaseLibcState(*this);
  place_.Begin(nullptr);
  coroutine::SetSwitchHook(*self_, outer_hook_);
  image_->memory.Drop(data_);
  if (image_->uses_libstdcxx) CxxStreams::Instance().Drop(streams_);
  result_.peak_heap = heap_.peak_bytes();
  result_.leaked_blocks = heap_.blocks();
  heap_.FreeAll();
  exit_handlers_.clear();
  quick_exit_handlers_.clear();
  thread_exit_handlers_.clear();
  own_environment_.clear();
  own_variables_.clear();
  self_ = nullptr;
  image_ = nullptr;
  phase_ = Phase::kIdle;
}

void Program::Enter(coroutine::Coroutine& self) noexcept {
  if (outer_hook_ != nullptr) outer_hook_->Enter(self);
  image_->memory.BringIn(data_);
  if (image_->uses_libstdcxx) CxxStreams::Instance().BringIn(streams_);
  if (image_->fcgi_stdio != nullptr) *image_->fcgi_stdio = fcgi_stdio_;
  t_process = {environ, stdin, stdout, stderr};
  environ = environ_;
  stdin = stdin_;
  stdout = stdout_;
  stderr = stderr_;
  optind = getopt_.index;
  opterr = getopt_.errors;
  optopt = getopt_.option;
  optarg = getopt_.argument;
  if (locale != nullptr) uselocale(locale);
  if (cxx_locale != nullptr) SwapCxxLocale(*this);
  place_.Resume();
  t_heap = {&heap_, heap_tracking_};
  t_current = current_;
  t_interrupted = current_ != nullptr && (interrupted_ || coroutine::Cancelled(*self_));
#if COGI_ASAN
  __lsan_disable();  // what an abandoned program leaves is freed by nobody here, and is no leak of
                     // ours
#endif
}

void Program::Leave(coroutine::Coroutine& self) noexcept {
#if COGI_ASAN
  __lsan_enable();
#endif
  current_ = t_current;
  t_current = nullptr;
  t_interrupted = false;
  heap_tracking_ = t_heap.tracking;
  t_heap = {};
  place_.Suspend();
  if (locale != nullptr) uselocale(LC_GLOBAL_LOCALE);
  if (cxx_locale != nullptr) SwapCxxLocale(*this);
  if (image_->fcgi_stdio != nullptr) fcgi_stdio_ = *image_->fcgi_stdio;
  getopt_ = {optind, opterr, optopt, optarg};
  environ_ = environ;
  stdin_ = stdin;
  stdout_ = stdout;
  stderr_ = stderr;
  environ = t_process.environment;
  stdin = t_process.in;
  stdout = t_process.out;
  stderr = t_process.err;
  if (outer_hook_ != nullptr) outer_hook_->Leave(self);
}

Descriptor Program::Resolve(int fd) noexcept {
  // A cancelled program ends at its next hooked call, whatever it made of the last one.
  if (coroutine::Cancelled(*self_)) [[unlikely]]
    AfterInterruption();
  return descriptors_.Resolve(fd);
}

// In the middle of the server's code (a write to the client) a signal has to wait: ServerScope
// looks for it at its end.
void Program::Interrupt() noexcept {
  if (current_ == nullptr || coroutine::Cancelled(*self_)) return;
  interrupted_ = true;
  coroutine::Cancel(*self_);
}

void Program::EndSoon(ProgramEnd end, int status) noexcept {
  if (phase_ != Phase::kRunning) return;
  wanted_end_ = {end, status};
  Interrupt();
}

void Program::AfterInterruption() noexcept {
  if (phase_ != Phase::kRunning || t_current != this) return;
  t_interrupted = false;
  if (interrupted_) {
    interrupted_ = false;
    coroutine::ClearCancel(*self_);
  }
  if (coroutine::Cancelled(*self_)) Terminate(ProgramEnd::kCancelled, 0);
  if (wanted_end_) {
    const WantedEnd wanted = *std::exchange(wanted_end_, std::nullopt);
    if (wanted.end == ProgramEnd::kExited) Exit(wanted.status);
    Terminate(wanted.end, wanted.status);
  }
  if (signals_.Deliver() && errno == ECANCELED) errno = EINTR;
}

void AfterInterruption() noexcept {
  if (Program* program = Program::Current()) program->AfterInterruption();
}

void Program::FlushFiles() noexcept {
  if (stdout_ != nullptr) std::fflush(standard_files_[1]);
  std::fflush(standard_files_[2]);
  open_files_.Flush();
}

ServerScope::ServerScope() noexcept : state_(CurrentProgram()) {
  if (state_ == nullptr) return;
  coroutine::SetProgramSlot(*coroutine::Current(), nullptr);
  tracking_ = t_heap.tracking;
  t_heap.tracking = false;
  Program::t_current = nullptr;
}

ServerScope::~ServerScope() {
  if (state_ == nullptr) return;
  coroutine::SetProgramSlot(*coroutine::Current(), state_);
  t_heap.tracking = tracking_;
  // Only Program has a heap to track; another state (of a test) leaves no Program current.
  if (t_heap.heap == nullptr) return;
  Program* program = static_cast<Program*>(state_);
  Program::t_current = program;
  t_interrupted = program->signals_.due() || program->wanted_end_.has_value() ||
                  coroutine::Cancelled(*program->self_);
}

}  // namespace cogi::hooks
