#include "hooks/libco_environment.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/libco/co_routine.h"
#include "coroutine/local.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// Set once and then only read; never freed, because getenv() may be called until the very end.
constinit std::atomic<const std::vector<std::string>*> listed_names{nullptr};

struct PrivateVariables {
  std::vector<PrivateVariable> by_index{listed_names.load()->size()};
};

constinit real::RealCall<char*(const char*)> real_getenv{"getenv"};

}  // namespace

PrivateVariable* FindPrivateVariable(const char* name) {
  const auto* names = listed_names.load(std::memory_order_acquire);
  if (names == nullptr || name == nullptr) [[likely]]
    return nullptr;
  const coroutine::Coroutine* self = coroutine::Current();
  if (self == nullptr || !coroutine::HooksEnabled(*self)) return nullptr;
  const auto found = std::find(names->begin(), names->end(), name);
  if (found == names->end()) return nullptr;
  static coroutine::CoroutineLocal<PrivateVariables> own;
  return &own->by_index[static_cast<size_t>(found - names->begin())];
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

COGI_LIBCO_API void co_set_env_list(const char* names[], size_t count) {
  static std::once_flag once;
  std::call_once(once, [&] {
    listed_names.store(new std::vector<std::string>(names, names + count),
                       std::memory_order_release);
  });
}

extern "C" COGI_API char* getenv(const char* name) noexcept try {
  PrivateVariable* own = FindPrivateVariable(name);
  if (own == nullptr || !own->touched) return real_getenv(name);
  return own->value.has_value() ? own->value->data() : nullptr;
} catch (const std::bad_alloc&) {
  return nullptr;
}
