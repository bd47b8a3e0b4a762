// The environment variables of which each coroutine has its own: co_set_env_list() of libco's API.
// Coroutines that run programs do not need it: all of their environment is their own.
#ifndef COGI_HOOKS_LIBCO_ENVIRONMENT_H_
#define COGI_HOOKS_LIBCO_ENVIRONMENT_H_

#include <optional>
#include <string>

namespace cogi::hooks {

// PrivateVariable is one listed name of the running coroutine. Not set in this coroutine yet: the
// process's value shows through. Set to nullopt: unset here.
struct PrivateVariable {
  bool touched = false;
  std::optional<std::string> value;
};

// FindPrivateVariable() is the running coroutine's own `name`, or null if `name` is not listed, is
// null, or the caller is no coroutine with hooks on. One comparison while nothing is listed. Throws
// std::bad_alloc. Never yields.
[[nodiscard]] PrivateVariable* FindPrivateVariable(const char* name);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_LIBCO_ENVIRONMENT_H_
