// Calling into a program as libc's start code does: as the outermost frame. An exception that
// nobody in the program catches finds the end of the stack there, so that std::terminate() is
// called at the throw, with nothing unwound, as in a process of its own; it never reaches the
// server's frames below.
#ifndef COGI_HOOKS_PROGRAM_CALL_H_
#define COGI_HOOKS_PROGRAM_CALL_H_

extern "C" long cogi_call_outermost(void (*function)(), long first, long second, long third);

namespace cogi::hooks {

template <class Result, class... Parameters, class... Arguments>
Result CallOutermost(Result (*function)(Parameters...), Arguments... arguments) {
  static_assert(sizeof...(Arguments) <= 3);
  long values[3] = {};
  long* next = values;
  ((*next++ = (long)(arguments)), ...);  // integers and pointers alike
  return static_cast<Result>(
      cogi_call_outermost(reinterpret_cast<void (*)()>(function), values[0], values[1], values[2]));
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_CALL_H_
