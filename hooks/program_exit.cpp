// How a program ends: exit(3) and its kin end the program, not the worker; exit handlers are the
// program's. Outside a program everything is libc's.
#include <cxxabi.h>
#include <err.h>
#include <error.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "hooks/libfcgi.h"
#include "hooks/program.h"
#include "hooks/program_call.h"
#include "hooks/real.h"

namespace cogi::hooks {

void Program::Call(const ExitHandler& handler) noexcept {
  if (handler.on_exit != nullptr)
    CallOutermost(handler.on_exit, result_.status, handler.argument);
  else
    CallOutermost(handler.handler, handler.argument);
}

bool Program::AddExitHandler(Handler handler, void* argument, void* dso) noexcept try {
  exit_handlers_.push_back({handler, nullptr, argument, dso});
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

bool Program::AddOnExit(void (*handler)(int, void*), void* argument) noexcept try {
  exit_handlers_.push_back({nullptr, handler, argument, nullptr});
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

bool Program::AddQuickExitHandler(Handler handler) noexcept try {
  quick_exit_handlers_.push_back({handler, nullptr, nullptr, nullptr});
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

bool Program::AddThreadExitHandler(Handler handler, void* object) noexcept try {
  thread_exit_handlers_.push_back({handler, nullptr, object, nullptr});
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void Program::RunThreadExitHandlers() noexcept {
  while (!thread_exit_handlers_.empty()) {
    const ExitHandler handler = thread_exit_handlers_.back();
    thread_exit_handlers_.pop_back();
    Call(handler);
  }
}

void Program::RunExitHandlers(const void* dso) noexcept {
  // A handler may register others: they run next.
  for (size_t i = exit_handlers_.size(); i-- > 0;) {
    if (dso != nullptr && exit_handlers_[i].dso != dso) continue;
    const ExitHandler handler = exit_handlers_[i];
    exit_handlers_.erase(exit_handlers_.begin() + static_cast<ptrdiff_t>(i));
    Call(handler);
    i = exit_handlers_.size();
  }
}

// Each part is taken off its list before it runs, so that an exit() inside a handler goes on with
// the rest.
void Program::Exit(int status) noexcept {
  result_.status = status & 0xff;
  RunThreadExitHandlers();
  RunExitHandlers(nullptr);
  while (fini_left_ > 0) CallOutermost(image_->fini_array[--fini_left_]);
  if (!fini_done_ && image_->fini != nullptr) {
    fini_done_ = true;
    CallOutermost(image_->fini);
  }
  if (libfcgi_ != nullptr) FinishLibfcgi(*libfcgi_);
  output_may_wait = true;
  FlushFiles();
  Terminate(ProgramEnd::kExited, status);
}

void Program::QuickExit(int status) noexcept {
  while (!quick_exit_handlers_.empty()) {
    const ExitHandler handler = quick_exit_handlers_.back();
    quick_exit_handlers_.pop_back();
    Call(handler);
  }
  Terminate(ProgramEnd::kExited, status);
}

namespace {

using real::RealCall;
constinit RealCall<void(int)> real_exit{"exit"};
constinit RealCall<void(int)> real_exit_now{"_exit"};
constinit RealCall<void(int)> real_quick_exit{"quick_exit"};
constinit RealCall<void()> real_abort{"abort"};
constinit RealCall<void(void*)> real_pthread_exit{"pthread_exit"};
constinit RealCall<int(void (*)(void*), void*, void*)> real_cxa_atexit{"__cxa_atexit"};
constinit RealCall<int(void (*)(void*), void*)> real_cxa_at_quick_exit{"__cxa_at_quick_exit"};
constinit RealCall<int(void (*)(void*), void*, void*)> real_cxa_thread_atexit{
    "__cxa_thread_atexit_impl"};
constinit RealCall<int(void (*)(int, void*), void*)> real_on_exit{"on_exit"};
constinit RealCall<void(void*)> real_cxa_finalize{"__cxa_finalize"};
constinit RealCall<void(const char*, const char*, unsigned, const char*)> real_assert_fail{
    "__assert_fail"};

// Registered by the program's own code (and not by a library that it happens to initialise)?
Program* Registering(const void* address) {
  Program* program = Program::Current();
  return program != nullptr && program->image().addresses.Contains(address) ? program : nullptr;
}

#define COGI_CALLER __builtin_extract_return_addr(__builtin_return_address(0))

[[noreturn]] void AbortProgram(Program& program) {
  program.signals().Raise(SIGABRT);  // a handler may jump out; if it returns, that is the end
  program.Terminate(ProgramEnd::kAborted, SIGABRT);
}

// err(3) and error(3): libc's would call its own exit().
void Complain(const char* format, va_list arguments, const char* reason) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: ", program_invocation_short_name);
  if (format != nullptr) std::vfprintf(stderr, format, arguments);
  if (reason != nullptr) std::fprintf(stderr, "%s%s", format != nullptr ? ": " : "", reason);
  std::fputc('\n', stderr);
}

// std::terminate() in a program says what the default handler says; that one remembers having been
// called.
std::terminate_handler g_server_terminate = nullptr;
[[noreturn]] void TerminateProgramOrServer() {
  Program* program = Program::Current();
  if (program == nullptr) {
    if (g_server_terminate != nullptr) g_server_terminate();
    std::abort();
  }
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    std::fputs("terminate called without an active exception\n", stderr);
    AbortProgram(*program);
  }
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  std::fprintf(stderr, "terminate called after throwing an instance of '%s'\n",
               status == 0 ? name : type->name());
  std::free(name);
  try {
    std::rethrow_exception(std::current_exception());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "  what():  %s\n", error.what());
  } catch (...) {
  }
  AbortProgram(*program);
}

}  // namespace

void InstallTerminateHandler() noexcept {
  const std::terminate_handler old = std::set_terminate(TerminateProgramOrServer);
  if (old != TerminateProgramOrServer && g_server_terminate == nullptr) g_server_terminate = old;
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API void exit(int status) {
  if (Program* program = Program::Current()) {
    if (program->has_threads() && program->libfcgi() != nullptr)
      program->libfcgi()->MainEnds(status, true);
    program->Exit(status);
  }
  EndThread(ProgramEnd::kExited, status);
  real_exit(status);
  __builtin_unreachable();
}

COGI_API void _exit(int status) {
  if (Program* program = Program::Current()) program->Terminate(ProgramEnd::kExited, status);
  EndThread(ProgramEnd::kExited, status);
  real_exit_now(status);
  __builtin_unreachable();
}

COGI_API void _Exit(int status) { _exit(status); }

COGI_API void quick_exit(int status) noexcept {
  if (Program* program = Program::Current()) program->QuickExit(status);
  EndThread(ProgramEnd::kExited, status);
  real_quick_exit(status);
  __builtin_unreachable();
}

COGI_API void abort() noexcept {
  if (Program* program = Program::Current()) AbortProgram(*program);
  EndThread(ProgramEnd::kAborted, SIGABRT);
  real_abort();
  __builtin_unreachable();
}

COGI_API void pthread_exit(void* value) {
  if (Program* program = Program::Current()) {
    if (program->has_threads() && program->libfcgi() != nullptr)
      while (!program->libfcgi()->AwaitEnd()) program->AfterInterruption();
    program->Exit(0);
  }
  real_pthread_exit(value);
  __builtin_unreachable();
}

COGI_API void __assert_fail(const char* assertion, const char* file, unsigned line,
                            const char* function) noexcept {
  if (Program* program = Program::Current()) {
    std::fprintf(stderr, "%s: %s:%u: %s: Assertion `%s' failed.\n", program_invocation_short_name,
                 file, line, function != nullptr ? function : "?", assertion);
    AbortProgram(*program);
  }
  if (t_libfcgi_host != nullptr) {
    std::fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line,
                 function != nullptr ? function : "?", assertion);
    abort();
  }
  real_assert_fail(assertion, file, line, function);
  __builtin_unreachable();
}

COGI_API void __stack_chk_fail() {
  if (Program* program = Program::Current()) {
    std::fputs("*** stack smashing detected ***: terminated\n", stderr);
    AbortProgram(*program);
  }
  real_abort();
  __builtin_unreachable();
}

COGI_API void __chk_fail() {
  if (Program* program = Program::Current()) {
    std::fputs("*** buffer overflow detected ***: terminated\n", stderr);
    AbortProgram(*program);
  }
  real_abort();
  __builtin_unreachable();
}

COGI_API int __cxa_atexit(void (*handler)(void*), void* argument, void* dso) {
  if (Program* program = Registering(dso))
    return program->AddExitHandler(handler, argument, dso) ? 0 : -1;
  return real_cxa_atexit(handler, argument, dso);
}

COGI_API int __cxa_at_quick_exit(void (*handler)(void*), void* dso) {
  if (Program* program = Registering(dso)) return program->AddQuickExitHandler(handler) ? 0 : -1;
  return real_cxa_at_quick_exit(handler, dso);
}

COGI_API int __cxa_thread_atexit_impl(void (*handler)(void*), void* object, void* dso) {
  if (Program* program = Registering(dso))
    return program->AddThreadExitHandler(handler, object) ? 0 : -1;
  return real_cxa_thread_atexit(handler, object, dso);
}

COGI_API int on_exit(void (*handler)(int, void*), void* argument) noexcept {
  if (Program* program = Registering(COGI_CALLER))
    return program->AddOnExit(handler, argument) ? 0 : -1;
  return real_on_exit(handler, argument);
}

COGI_API void __cxa_finalize(void* dso) {
  if (Program* program = dso == nullptr ? nullptr : Registering(dso))
    return program->RunExitHandlers(dso);
  real_cxa_finalize(dso);
}

COGI_API void verr(int status, const char* format, va_list arguments) {
  Complain(format, arguments, strerror(errno));
  exit(status);
}

COGI_API void verrx(int status, const char* format, va_list arguments) {
  Complain(format, arguments, nullptr);
  exit(status);
}

COGI_API void err(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verr(status, format, arguments);
}

COGI_API void errx(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verrx(status, format, arguments);
}

COGI_API void error(int status, int number, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  ++error_message_count;
  Complain(format, arguments, number != 0 ? strerror(number) : nullptr);
  va_end(arguments);
  if (status != 0) exit(status);
}

}  // extern "C"
