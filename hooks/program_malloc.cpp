// The allocation functions of the process. Without a program they are libc's at the price of one
// comparison; for a program they record the block in its ProgramHeap. Left out under the
// sanitizers, whose malloc comes first.
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include "coroutine/sanitizers.h"
#include "hooks/program_heap.h"

#if !COGI_SANITIZED

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace cogi::hooks {
namespace {

#define COGI_CALLER __builtin_extract_return_addr(__builtin_return_address(0))

// Slow path: some program runs on this thread.
[[gnu::noinline]] void* Record(HeapContext& context, void* block, const void* caller) noexcept {
  if (block == nullptr || !context.tracking || !context.heap->OwnsCaller(caller)) return block;
  if (context.heap->Add(block)) return block;
  __libc_free(block);
  errno = ENOMEM;
  return nullptr;
}

[[gnu::always_inline]] inline void* Recorded(void* block, const void* caller) noexcept {
  HeapContext& context = t_heap;
  if (context.heap == nullptr) [[likely]]
    return block;
  return Record(context, block, caller);
}

[[gnu::noinline]] void* Resize(HeapContext& context, void* block, size_t size) noexcept {
  const size_t before = malloc_usable_size(block);
  if (size > before && !context.heap->Allows(size - before)) {
    errno = ENOMEM;
    return nullptr;
  }
  context.heap->Remove(block);
  void* moved = __libc_realloc(block, size);
  void* kept = moved == nullptr && size != 0 ? block : moved;
  // Cannot fail: its place in the table has just been freed.
  if (kept != nullptr) static_cast<void>(context.heap->Add(kept));
  return moved;
}

template <class Allocate>
void* NewBlock(Allocate allocate, const void* caller) {
  for (;;) {
    if (void* block = Recorded(allocate(), caller)) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

template <class Allocate>
void* NewBlockOrNull(Allocate allocate, const void* caller) noexcept {
  try {
    return NewBlock(allocate, caller);
  } catch (...) {
    return nullptr;
  }
}

size_t AtLeastOne(size_t size) { return size == 0 ? 1 : size; }

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API void* malloc(size_t size) noexcept { return Recorded(__libc_malloc(size), COGI_CALLER); }

COGI_API void* calloc(size_t count, size_t size) noexcept {
  return Recorded(__libc_calloc(count, size), COGI_CALLER);
}

COGI_API void* realloc(void* block, size_t size) noexcept {
  HeapContext& context = t_heap;
  if (context.heap == nullptr) [[likely]]
    return __libc_realloc(block, size);
  if (block != nullptr && context.heap->Contains(block)) return Resize(context, block, size);
  void* moved = __libc_realloc(block, size);
  return block == nullptr ? Record(context, moved, COGI_CALLER) : moved;
}

COGI_API void* reallocarray(void* block, size_t count, size_t size) noexcept {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    errno = ENOMEM;
    return nullptr;
  }
  HeapContext& context = t_heap;
  if (context.heap != nullptr && block != nullptr && context.heap->Contains(block))
    return Resize(context, block, total);
  void* moved = __libc_realloc(block, total);
  return block == nullptr ? Recorded(moved, COGI_CALLER) : moved;
}

COGI_API void free(void* block) noexcept {
  HeapContext& context = t_heap;
  if (context.heap != nullptr && block != nullptr) [[unlikely]]
    context.heap->Remove(block);
  __libc_free(block);
}

COGI_API void* memalign(size_t alignment, size_t size) noexcept {
  return Recorded(__libc_memalign(alignment, size), COGI_CALLER);
}

COGI_API void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return Recorded(__libc_memalign(alignment, size), COGI_CALLER);
}

COGI_API int posix_memalign(void** block, size_t alignment, size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
    return EINVAL;
  void* made = Recorded(__libc_memalign(alignment, size), COGI_CALLER);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

COGI_API void* valloc(size_t size) noexcept {
  return Recorded(__libc_memalign(static_cast<size_t>(sysconf(_SC_PAGESIZE)), size), COGI_CALLER);
}

COGI_API void* pvalloc(size_t size) noexcept {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (size > SIZE_MAX - page) {
    errno = ENOMEM;
    return nullptr;
  }
  return Recorded(__libc_memalign(page, (size + page - 1) / page * page), COGI_CALLER);
}

}  // extern "C"

// C++: the caller of operator new tells more than that of malloc() would, which is always
// libstdc++.
#define COGI_NEW [&] { return __libc_malloc(AtLeastOne(size)); }, COGI_CALLER
#define COGI_NEW_ALIGNED \
  [&] { return __libc_memalign(static_cast<size_t>(alignment), AtLeastOne(size)); }, COGI_CALLER

COGI_API void* operator new(size_t size) { return NewBlock(COGI_NEW); }
COGI_API void* operator new[](size_t size) { return NewBlock(COGI_NEW); }
COGI_API void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return NewBlockOrNull(COGI_NEW);
}
COGI_API void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return NewBlockOrNull(COGI_NEW);
}
COGI_API void* operator new(size_t size, std::align_val_t alignment) {
  return NewBlock(COGI_NEW_ALIGNED);
}
COGI_API void* operator new[](size_t size, std::align_val_t alignment) {
  return NewBlock(COGI_NEW_ALIGNED);
}
COGI_API void* operator new(size_t size, std::align_val_t alignment,
                            const std::nothrow_t&) noexcept {
  return NewBlockOrNull(COGI_NEW_ALIGNED);
}
COGI_API void* operator new[](size_t size, std::align_val_t alignment,
                              const std::nothrow_t&) noexcept {
  return NewBlockOrNull(COGI_NEW_ALIGNED);
}

COGI_API void operator delete(void* block) noexcept { free(block); }
COGI_API void operator delete[](void* block) noexcept { free(block); }
COGI_API void operator delete(void* block, size_t) noexcept { free(block); }
COGI_API void operator delete[](void* block, size_t) noexcept { free(block); }
COGI_API void operator delete(void* block, const std::nothrow_t&) noexcept { free(block); }
COGI_API void operator delete[](void* block, const std::nothrow_t&) noexcept { free(block); }
COGI_API void operator delete(void* block, std::align_val_t) noexcept { free(block); }
COGI_API void operator delete[](void* block, std::align_val_t) noexcept { free(block); }
COGI_API void operator delete(void* block, size_t, std::align_val_t) noexcept { free(block); }
COGI_API void operator delete[](void* block, size_t, std::align_val_t) noexcept { free(block); }
COGI_API void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  free(block);
}
COGI_API void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  free(block);
}

#endif  // !COGI_SANITIZED
