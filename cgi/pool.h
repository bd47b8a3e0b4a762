// Pool: objects that busy connections borrow, so that idle ones hold none and a warm server
// allocates none. One pool for each thread and type. AddressSanitizer reports the use of an
// object that was returned, as it does for one that was freed.
#ifndef COGI_CGI_POOL_H_
#define COGI_CGI_POOL_H_

#include <cstddef>
#include <memory>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define COGI_HIDE(object) __asan_poison_memory_region(object, sizeof *(object))
#define COGI_SHOW(object) __asan_unpoison_memory_region(object, sizeof *(object))
#else
#define COGI_HIDE(object) static_cast<void>(0)
#define COGI_SHOW(object) static_cast<void>(0)
#endif

namespace cogi::cgi {

template <typename T>
class Pool {
 public:
  struct Return {
    void operator()(T* object) const noexcept {
      auto& free = Free();
      if (free.size() < kKeep) {
        free.emplace_back(object);  // reserved: does not throw
        COGI_HIDE(object);
      } else {
        delete object;
      }
    }
  };
  using Pointer = std::unique_ptr<T, Return>;

  // Take() gives an object in the state in which it was last returned: the borrower resets it.
  [[nodiscard]] static Pointer Take() {
    auto& free = Free();
    if (free.empty()) return Pointer(new T);
    Pointer taken(free.back().release());
    free.pop_back();
    COGI_SHOW(taken.get());
    return taken;
  }

 private:
  struct Delete {
    void operator()(T* object) const noexcept {
      COGI_SHOW(object);
      delete object;
    }
  };

  // More than a burst of a busy worker needs; a larger burst allocates.
  static constexpr size_t kKeep = 128;

  static std::vector<std::unique_ptr<T, Delete>>& Free() {
    thread_local std::vector<std::unique_ptr<T, Delete>> free = [] {
      std::vector<std::unique_ptr<T, Delete>> list;
      list.reserve(kKeep);
      return list;
    }();
    return free;
  }
};

}  // namespace cogi::cgi

#undef COGI_HIDE
#undef COGI_SHOW

#endif  // COGI_CGI_POOL_H_
