// CoroutineLocal<T>: a variable of which each coroutine has its own, made at its first use and
// destroyed at the coroutine's end, on that coroutine. On a thread's own stack it is a variable of
// the thread. Never yields by itself (T's constructor and destructor may).
//
//   CoroutineLocal<std::string> user;      // static or global
//   user->append("x");
#ifndef COGI_COROUTINE_LOCAL_H_
#define COGI_COROUTINE_LOCAL_H_

#include <cstddef>
#include <memory>

#include "coroutine/export.h"

namespace cogi::coroutine {

// The untyped form. NewLocalKey() is thread-safe; a process has as many keys as it likes, but each
// costs every coroutine that uses a later one 16 bytes.
[[nodiscard]] COGI_API size_t NewLocalKey() noexcept;
// GetLocal() is the value of the running coroutine, or null.
[[nodiscard]] COGI_API void* GetLocal(size_t key) noexcept;
// SetLocal() sets it; `destroy`, if given, is called with it at the coroutine's end unless it is
// null by then. Throws std::bad_alloc.
COGI_API void SetLocal(size_t key, void* value, void (*destroy)(void*) = nullptr);

template <class T>
class CoroutineLocal {
 public:
  CoroutineLocal() : key_(NewLocalKey()) {}
  CoroutineLocal(const CoroutineLocal&) = delete;
  CoroutineLocal& operator=(const CoroutineLocal&) = delete;

  T& operator*() { return Get(); }
  T* operator->() { return &Get(); }

 private:
  T& Get() {
    if (void* value = GetLocal(key_)) return *static_cast<T*>(value);
    auto made = std::make_unique<T>();
    SetLocal(key_, made.get(), [](void* value) { delete static_cast<T*>(value); });
    return *made.release();
  }
  size_t key_;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_LOCAL_H_
