// Pool: objects that busy connections borrow, so that idle ones hold none and a warm server
// allocates none. One pool for each thread and type.
#ifndef COGI_CGI_POOL_H_
#define COGI_CGI_POOL_H_

#include <cstddef>
#include <memory>
#include <vector>

namespace cogi::cgi {

template <typename T>
class Pool {
 public:
  struct Return {
    void operator()(T* object) const noexcept {
      auto& free = Free();
      if (free.size() < kKeep) {
        free.emplace_back(object);  // reserved: does not throw
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
    return taken;
  }

 private:
  // More than a burst of a busy worker needs; a larger burst allocates.
  static constexpr size_t kKeep = 128;

  static std::vector<std::unique_ptr<T>>& Free() {
    thread_local std::vector<std::unique_ptr<T>> free = [] {
      std::vector<std::unique_ptr<T>> list;
      list.reserve(kKeep);
      return list;
    }();
    return free;
  }
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_POOL_H_
