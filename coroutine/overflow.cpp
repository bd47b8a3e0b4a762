#include "coroutine/overflow.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "coroutine/scheduler_impl.h"
#include "coroutine/system_calls.h"

namespace cogi::coroutine {
namespace {

constexpr size_t kSignalStackSize = 64 << 10;
constexpr size_t kGuardSize = 64 << 10;  // a frame may jump over the page below the stack
constexpr int kDeepest = 24;

// The return addresses of the innermost frames, by their chain of frame pointers: nothing else is
// safe when there is no stack left.
int WalkFrames(const RunStack& stack, const ucontext_t& context, void** frames) noexcept {
#if defined(__x86_64__)
  auto pc = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
  auto frame = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RBP]);
#else
  auto pc = static_cast<uintptr_t>(context.uc_mcontext.pc);
  auto frame = static_cast<uintptr_t>(context.uc_mcontext.regs[29]);
#endif
  int count = 0;
  frames[count++] = reinterpret_cast<void*>(pc);
  while (count < kDeepest && frame % sizeof(void*) == 0 &&
         stack.Contains(reinterpret_cast<void*>(frame)) &&
         stack.Contains(reinterpret_cast<void*>(frame + sizeof(void*)))) {
    auto* const words = reinterpret_cast<uintptr_t*>(frame);
    if (words[1] == 0 || words[0] <= frame) break;
    frames[count++] = reinterpret_cast<void*>(words[1]);
    frame = words[0];
  }
  return count;
}

void HandleFault(int signal, siginfo_t* info, void* context) {
  if (const Coroutine* self = OverflowedBy(info->si_addr)) ReportOverflow(*self, context, 2);
  // The instruction is run again with the default action: the core dump shows the real place.
  struct sigaction ordinary {};
  ordinary.sa_handler = SIG_DFL;
  sigaction(signal, &ordinary, nullptr);
  // There is no instruction to run again if somebody has sent the signal: send it on.
  if (info->si_code <= 0) (void)sys::Raise(signal);
}

struct SignalStack {
  void* memory = nullptr;
  ~SignalStack() {
    if (memory == nullptr) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(memory, kSignalStackSize);
  }
};
thread_local SignalStack signal_stack;

}  // namespace

Coroutine* OverflowedBy(const void* address) noexcept {
  Coroutine* self = Running();
  if (self == nullptr || self->stack == nullptr) return nullptr;
  const auto* at = static_cast<const char*>(address);
  return at < self->stack->base && at >= self->stack->base - kGuardSize ? self : nullptr;
}

void ReportOverflow(const Coroutine& self, const void* context, int fd) noexcept {
  char line[512];
  const int length =
      std::snprintf(line, sizeof line,
                    "stack overflow in coroutine #%llu \"%s\": its %s stack of %zu bytes is used "
                    "up. Give it a larger "
                    "one (stack_size), or less recursion and smaller locals.\n",
                    static_cast<unsigned long long>(self.id), self.name,
                    self.mode == StackMode::kShared ? "shared" : "private", self.stack->size());
  if (length > 0)
    (void)sys::Write(fd, line, std::min(static_cast<size_t>(length), sizeof line - 1));
  void* frames[kDeepest];
  const int count = WalkFrames(*self.stack, *static_cast<const ucontext_t*>(context), frames);
  backtrace_symbols_fd(frames, count, fd);
}

void ReportStackOverflows() noexcept {
  stack_t present{};
  if (sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
    void* memory =
        mmap(nullptr, kSignalStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t wanted{};
    wanted.ss_sp = memory;
    wanted.ss_size = kSignalStackSize;
    sigaltstack(&wanted, nullptr);
    signal_stack.memory = memory;
  }
  for (const int signal : {SIGSEGV, SIGBUS}) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL)
      continue;
    action = {};
    action.sa_sigaction = &HandleFault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace cogi::coroutine
