// A program that crashes ends its request, not the worker: the handler of the fatal signals runs on
// a stack of its own, notes where it happened and abandons the program's stack. What the crash has
// damaged besides is not known, so the result says that the worker should be replaced.
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>

#include <iterator>

#include "coroutine/sanitizers.h"
#include "hooks/program.h"
#include "hooks/program_libc.h"

namespace cogi::hooks {

void Program::Crash(int signal) noexcept {
  result_.crashed = true;
  result_.frame_count = ::backtrace(result_.frames, static_cast<int>(std::size(result_.frames)));
  Terminate(ProgramEnd::kSignalled, signal);
}

#if COGI_SANITIZED

void InstallCrashHandler() noexcept {}

#else

namespace {

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr size_t kSignalStack = 128 << 10;
struct sigaction g_before[std::size(kFatal)];

void OnFatalSignal(int signal, siginfo_t*, void*) {
  if (Program* program = Program::Current()) program->Crash(signal);
  // The server's own: what would have happened, when the instruction is tried again.
  for (size_t i = 0; i < std::size(kFatal); ++i)
    if (kFatal[i] == signal) ::sigaction(signal, &g_before[i], nullptr);
  if (signal == SIGABRT) ::raise(signal);
}

void InstallOnce() {
  void* frames[1];
  ::backtrace(frames, 1);  // loads the unwinder now: not in the handler
  struct sigaction action {};
  action.sa_sigaction = OnFatalSignal;
  // Not blocked in the handler: it is left by a jump.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kFatal); ++i) ::sigaction(kFatal[i], &action, &g_before[i]);
}

// The thread's signal stack, unless it has one.
void MakeSignalStack() {
  stack_t stack{};
  if (::sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0) return;
  void* memory = ::mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;  // an overflow then ends the process, as without us
  stack = {};
  stack.ss_sp = memory;
  stack.ss_size = kSignalStack;
  ::sigaltstack(&stack, nullptr);
}

}  // namespace

void InstallCrashHandler() noexcept {
  static const bool installed = (InstallOnce(), true);
  thread_local const bool has_stack = (MakeSignalStack(), true);
  static_cast<void>(installed);
  static_cast<void>(has_stack);
}

#endif

}  // namespace cogi::hooks
