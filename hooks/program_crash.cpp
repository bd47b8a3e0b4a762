// A program that crashes ends its request, not the worker: the handler of the fatal signals runs on
// a stack of its own, notes where it happened and abandons the program's stack. What the crash has
// damaged besides is not known, so the result says that the worker should be replaced. A program
// that computes for ever is ended in the same way.
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unwind.h>

#include <algorithm>
#include <iterator>

#include "coroutine/sanitizers.h"
#include "hooks/program.h"
#include "hooks/program_libc.h"

namespace cogi::hooks {
namespace {

// The frames of the calling thread, from the caller on: those that ProgramResult has room for.
class FrameWalk {
 public:
  explicit FrameWalk(const AddressRange& program) : program_(program) {
    _Unwind_Backtrace(Visit, this);
  }

  void Store(ProgramResult* result) const noexcept {
    // What lies beyond the program's outermost frame is the server's.
    const int count = in_program_ > 0 ? in_program_ : std::min(count_, ProgramResult::kFrames);
    result->frame_count = std::min(count, ProgramResult::kFrames);
    result->frames_left_out = count - result->frame_count;
    for (int i = 0; i < result->frame_count; ++i)
      result->frames[i] = i < ProgramResult::kInnermost
                              ? innermost_[i]
                              : outermost_[(i + result->frames_left_out) % kOutermost];
  }

 private:
  static constexpr int kOutermost = ProgramResult::kFrames - ProgramResult::kInnermost;
  static constexpr int kDeepest = 4096;  // an endless recursion is cut there

  static _Unwind_Reason_Code Visit(_Unwind_Context* frame, void* argument) {
    auto& walk = *static_cast<FrameWalk*>(argument);
    auto* const at = reinterpret_cast<void*>(_Unwind_GetIP(frame));
    if (walk.count_ < ProgramResult::kInnermost) walk.innermost_[walk.count_] = at;
    walk.last_[walk.count_++ % kOutermost] = at;
    if (walk.program_.Contains(at)) {
      walk.in_program_ = walk.count_;
      std::copy_n(walk.last_, kOutermost, walk.outermost_);
    }
    return walk.count_ < kDeepest ? _URC_NO_REASON : _URC_NORMAL_STOP;
  }

  const AddressRange& program_;
  int count_ = 0;
  int in_program_ = 0;                          // as many, up to the last one in the program
  void* innermost_[ProgramResult::kInnermost];  // each by its number
  void* last_[kOutermost];                      // each by its number modulo kOutermost
  void* outermost_[kOutermost];                 // likewise, up to the last one in the program
};

}  // namespace

void Program::Crash(int signal) noexcept {
  result_.crashed = true;
  FrameWalk(image_->addresses).Store(&result_);
  Terminate(ProgramEnd::kSignalled, signal);
}

void Program::ReturnedStuck() noexcept {
  result_.crashed = true;
  Terminate(ProgramEnd::kStuck, 0);
}

#if COGI_SANITIZED

void InstallCrashHandler() noexcept {}
void Program::AbandonStuck(const void*) noexcept {}

#else

namespace {

AddressRange g_own_code;  // where the hooks are

// Whether a thread that was interrupted in `context` can leave its program's frames for good: in
// the program's own code no lock of libc's is held and no structure of ours is half changed;
// malloc, stdio and the hooks have returned, or have called back where a longjmp() may leave them
// too. So it is in a function without a frame that the program has called, as strlen(): it holds
// nothing either. (A return address stands where the stack begins, or the program would not find
// back.)
bool MayBeLeft(const ucontext_t& context, const AddressRange& program) noexcept {
#if defined(__x86_64__)
  const auto& registers = context.uc_mcontext.gregs;
  const auto* at = reinterpret_cast<const char*>(registers[REG_RIP]);
  if (program.Contains(at)) return true;
  if (g_own_code.end == 0 || g_own_code.Contains(at)) return false;
  const auto* const stack = reinterpret_cast<const char* const*>(registers[REG_RSP]);
  // After a near call, direct or indirect by a word in the module's table of addresses.
  const auto* const back = reinterpret_cast<const unsigned char*>(*stack);
  return program.Contains(back) && program.Contains(back - 6) &&
         (back[-5] == 0xe8 || (back[-6] == 0xff && back[-5] == 0x15));
#elif defined(__aarch64__)
  return program.Contains(reinterpret_cast<const void*>(context.uc_mcontext.pc));
#else
  static_cast<void>(context);
  static_cast<void>(program);
  return false;
#endif
}

#if defined(__x86_64__)

// What a function finds as its return address in place of one in the program: the program's call
// is over then, and whatever it did for it is complete. For an unwinder the stack begins here.
extern "C" [[gnu::visibility("hidden")]] void cogi_stuck_program_returns();
extern "C" [[noreturn, gnu::used, gnu::visibility("hidden")]] void
cogi_end_stuck_program() noexcept {
  Program::Current()->ReturnedStuck();
}
asm(".pushsection .text\n"
    ".p2align 4\n"
    ".hidden cogi_stuck_program_returns\n"
    ".type cogi_stuck_program_returns, @function\n"
    "cogi_stuck_program_returns:\n"
    ".cfi_startproc\n"
    ".cfi_undefined rip\n"
    "endbr64\n"
    "andq $-16, %rsp\n"
    "call cogi_end_stuck_program\n"
    "ud2\n"
    ".cfi_endproc\n"
    ".size cogi_stuck_program_returns, . - cogi_stuck_program_returns\n"
    ".popsection\n");

struct Search {
  const AddressRange& program;
  uintptr_t* address = nullptr;  // where the return address stands
};

// The innermost frame of the program: what it has called stands below, up to the address with
// which it was called.
_Unwind_Reason_Code LookAtFrame(_Unwind_Context* frame, void* argument) {
  auto& search = *static_cast<Search*>(argument);
  const uintptr_t at = _Unwind_GetIP(frame);
  if (!search.program.Contains(reinterpret_cast<const void*>(at))) return _URC_NO_REASON;
  auto* const address = reinterpret_cast<uintptr_t*>(_Unwind_GetCFA(frame)) - 1;
  if (*address == at) search.address = address;
  return _URC_NORMAL_STOP;
}

// Makes the call that the program is in return to its end. False: it is in none, or that is done.
bool EndAtReturn(const AddressRange& program) noexcept {
  Search search{program};
  _Unwind_Backtrace(LookAtFrame, &search);
  if (search.address == nullptr) return false;
  *search.address = reinterpret_cast<uintptr_t>(&cogi_stuck_program_returns);
  return true;
}

#else

bool EndAtReturn(const AddressRange&) noexcept { return false; }

#endif

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
  dl_find_object own{};
  if (::_dl_find_object(reinterpret_cast<void*>(&InstallOnce), &own) == 0)
    g_own_code = {reinterpret_cast<uintptr_t>(own.dlfo_map_start),
                  reinterpret_cast<uintptr_t>(own.dlfo_map_end)};
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

void Program::AbandonStuck(const void* context) noexcept {
  Program* const program = Current();
  if (program == nullptr || program->phase_ != Phase::kRunning || program->forked_) return;
  const AddressRange& addresses = program->image_->addresses;
  const bool at_once = MayBeLeft(*static_cast<const ucontext_t*>(context), addresses);
  const FrameWalk frames(addresses);
  if (!at_once && !EndAtReturn(addresses)) return;
  if (!program->stuck_) frames.Store(&program->result_);  // the next walk would end at that return
  program->stuck_ = true;
  if (at_once) program->ReturnedStuck();
}

void InstallCrashHandler() noexcept {
  static const bool installed = (InstallOnce(), true);
  thread_local const bool has_stack = (MakeSignalStack(), true);
  static_cast<void>(installed);
  static_cast<void>(has_stack);
}

#endif

}  // namespace cogi::hooks
