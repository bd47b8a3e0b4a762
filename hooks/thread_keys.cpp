#include "hooks/thread_keys.h"

#include <limits.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "coroutine/sanitizers.h"
#include "hooks/calls.h"
#include "hooks/checked.h"
#include "hooks/real.h"

#if COGI_SANITIZED
#include <dlfcn.h>
#endif

namespace cogi::hooks {

// A program's values, by key. A value counts only while its key is the one for which it was set: a
// deleted key's number comes again.
struct KeyValues {
  struct Value {
    void* value;
    uint32_t sequence;
  };
  size_t size;
  Value values[];
};

namespace {

struct Key {
  std::atomic<void (*)(void*)> destructor;
  std::atomic<uint32_t> sequence;    // moves on with each create and delete
  std::atomic<ProgramState*> owner;  // the program whose code made it, or null
#if COGI_SANITIZED
  std::atomic<bool> of_thread;  // a sanitizer's
#endif
};

constinit Key g_keys[PTHREAD_KEYS_MAX];

// A sanitizer keeps what it knows of the thread behind a key, and asks for it while programs run.
#if COGI_SANITIZED
void NoteMaker(pthread_key_t key, const void* maker) noexcept {
  Dl_info library{};
  g_keys[key].of_thread =
      dladdr(maker, &library) != 0 && (strstr(library.dli_fname, "libasan") != nullptr ||
                                       strstr(library.dli_fname, "libtsan") != nullptr);
}
bool IsThreads(pthread_key_t key) noexcept {
  return key < PTHREAD_KEYS_MAX && g_keys[key].of_thread.load(std::memory_order_relaxed);
}
#else
void NoteMaker(pthread_key_t, const void*) noexcept {}
constexpr bool IsThreads(pthread_key_t) noexcept { return false; }
#endif

// While a program's values are being ended: destructors look at them.
constinit thread_local KeyValues* t_ending __attribute__((tls_model("initial-exec"))) = nullptr;

constexpr size_t kFirstSize = 32;

// Memory that is nobody's: malloc() called from here is not accounted to the program.
KeyValues* Grow(KeyValues* old, size_t wanted) {
  size_t size = old == nullptr ? kFirstSize : old->size;
  while (size < wanted) size *= 2;
  auto* grown =
      static_cast<KeyValues*>(calloc(1, sizeof(KeyValues) + size * sizeof(KeyValues::Value)));
  if (grown == nullptr) return nullptr;
  grown->size = size;
  if (old != nullptr) memcpy(grown->values, old->values, old->size * sizeof(KeyValues::Value));
  free(old);
  return grown;
}

void* ValueOf(const KeyValues* values, pthread_key_t key) {
  if (values == nullptr || key >= values->size) return nullptr;
  const KeyValues::Value& value = values->values[key];
  return value.sequence == g_keys[key].sequence.load(std::memory_order_relaxed) ? value.value
                                                                                : nullptr;
}

int SetValue(KeyValues*& values, pthread_key_t key, void* value) {
  // An even sequence: there is no such key.
  if (key >= PTHREAD_KEYS_MAX || g_keys[key].sequence.load(std::memory_order_relaxed) % 2 == 0)
    return EINVAL;
  if (values == nullptr || key >= values->size) {
    if (value == nullptr) return 0;
    KeyValues* grown = Grow(values, key + 1);
    if (grown == nullptr) return ENOMEM;
    values = grown;
  }
  values->values[key] = {value, g_keys[key].sequence.load()};
  return 0;
}

// Runs each destructor once. False if there was none to run.
bool RunDestructors(const ProgramState& program, KeyValues& values) {
  bool ran = false;
  for (pthread_key_t key = 0; key < values.size; ++key) {
    void* value = ValueOf(&values, key);
    values.values[key].value = nullptr;
    void (*destructor)(void*) = g_keys[key].destructor.load(std::memory_order_relaxed);
    if (value == nullptr || destructor == nullptr || g_keys[key].owner == &program) continue;
    ran = true;
    destructor(value);
  }
  return ran;
}

}  // namespace

void EndKeys(ProgramState& program) noexcept {
  if (program.key_values != nullptr) {
    t_ending = program.key_values;
    for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; ++round) {
      if (!RunDestructors(program, *t_ending)) break;
    }
    free(t_ending);
    t_ending = nullptr;
    program.key_values = nullptr;
  }
  if (!program.made_keys) return;
  program.made_keys = false;
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; ++key) {
    if (g_keys[key].owner.load(std::memory_order_relaxed) == &program) pthread_key_delete(key);
  }
}

void ForgetThreadKeys() noexcept {
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; ++key) {
    if (real::pthread_getspecific(key) != nullptr) real::pthread_setspecific(key, nullptr);
  }
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept {
  const int error = real::pthread_key_create(key, destructor);
  if (error != 0 || *key >= PTHREAD_KEYS_MAX) return error;
  const void* maker = __builtin_extract_return_addr(__builtin_return_address(0));
  NoteMaker(*key, maker);
  ProgramState* program = CurrentProgram();
  const bool own = program != nullptr && program->OwnsAddress(maker);
  Key& made = g_keys[*key];
  made.destructor = destructor;
  made.owner = own ? program : nullptr;
  made.sequence.fetch_add(1 + made.sequence.load() % 2);  // odd: it exists
  if (own) program->made_keys = true;
  return 0;
}

COGI_API int pthread_key_delete(pthread_key_t key) noexcept {
  const int error = real::pthread_key_delete(key);
  if (error != 0) return error;
  g_keys[key].owner = nullptr;
  g_keys[key].destructor = nullptr;
  g_keys[key].sequence.fetch_add(1);
  return 0;
}

COGI_API void* pthread_getspecific(pthread_key_t key) noexcept {
  if (IsThreads(key)) return real::pthread_getspecific(key);
  if (const ProgramState* program = CurrentProgram()) return ValueOf(program->key_values, key);
  if (t_ending != nullptr) [[unlikely]]
    return ValueOf(t_ending, key);
  return real::pthread_getspecific(key);
}

COGI_API int pthread_setspecific(pthread_key_t key, const void* value) noexcept {
  if (IsThreads(key)) return real::pthread_setspecific(key, value);
  if (ProgramState* program = CurrentProgram())
    return SetValue(program->key_values, key, const_cast<void*>(value));
  if (t_ending != nullptr) [[unlikely]]
    return SetValue(t_ending, key, const_cast<void*>(value));
  return real::pthread_setspecific(key, value);
}

#pragma GCC diagnostic ignored "-Wmissing-attributes"
COGI_SAME(int, __pthread_key_create, (pthread_key_t*, void (*)(void*)) noexcept,
          pthread_key_create);

}  // extern "C"
