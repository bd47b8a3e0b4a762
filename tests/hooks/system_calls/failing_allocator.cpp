#include "tests/hooks/system_calls/failing_allocator.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <new>

#include "coroutine/coroutine.h"
#include "coroutine/sanitizers.h"
#include "coroutine/system_calls.h"

namespace {

struct Plan {
  bool active = false, for_good = false;
  int nth = 0, made = 0, failed = 0;
};
constinit thread_local Plan t_plan;

bool Fails() noexcept {
  Plan& plan = t_plan;
  if (!plan.active || cogi::coroutine::Current() == nullptr) return false;
  ++plan.made;
  const bool fails = plan.made == plan.nth || (plan.for_good && plan.made > plan.nth);
  plan.failed += fails;
  if (fails) errno = ENOMEM;
  return fails;
}

}  // namespace

namespace cogi::tests {

FailingAllocations::FailingAllocations(int nth, bool for_good) {
  t_plan = {.active = true, .for_good = for_good, .nth = nth};
}
FailingAllocations::~FailingAllocations() { t_plan.active = false; }
int FailingAllocations::made() const { return t_plan.made; }
bool FailingAllocations::any_failed() const { return t_plan.failed > 0; }

}  // namespace cogi::tests

#if !COGI_SANITIZED
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);

void* malloc(size_t size) noexcept { return Fails() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) noexcept {
  return Fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) noexcept {
  return Fails() ? nullptr : __libc_realloc(block, size);
}
}

void* operator new(size_t size) {
  void* block = Fails() ? nullptr : __libc_malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* operator new[](size_t size) { return operator new(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Fails() ? nullptr : __libc_malloc(size == 0 ? 1 : size);
}
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* block) noexcept { free(block); }
void operator delete[](void* block) noexcept { free(block); }
void operator delete(void* block, size_t) noexcept { free(block); }
void operator delete[](void* block, size_t) noexcept { free(block); }

extern "C" void* mmap(void* address, size_t size, int protection, int flags, int fd,
                      off_t offset) noexcept {
  if (Fails()) return MAP_FAILED;
  const long result =
      cogi::coroutine::sys::Call(SYS_mmap, reinterpret_cast<long>(address), static_cast<long>(size),
                                 protection, flags, fd, offset);
  if (result >= 0 || result < -4095) return reinterpret_cast<void*>(result);
  errno = static_cast<int>(-result);
  return MAP_FAILED;
}
#endif
