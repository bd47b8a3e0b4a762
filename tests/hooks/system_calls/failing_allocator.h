// An allocator that fails: the program's own operator new, malloc() and mmap(), which stand before
// those of libcogi.so, libc and libstdc++.
#ifndef COGI_TESTS_HOOKS_SYSTEM_CALLS_FAILING_ALLOCATOR_H_
#define COGI_TESTS_HOOKS_SYSTEM_CALLS_FAILING_ALLOCATOR_H_

namespace cogi::tests {

// While one lives, the `nth` allocation (from 1) that a coroutine of this thread makes fails, and
// with `for_good` each one after it.
class FailingAllocations {
 public:
  FailingAllocations(int nth, bool for_good);
  ~FailingAllocations();
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;
  // How many were made, failed ones included.
  [[nodiscard]] int made() const;
  [[nodiscard]] bool any_failed() const;
};

}  // namespace cogi::tests

#endif  // COGI_TESTS_HOOKS_SYSTEM_CALLS_FAILING_ALLOCATOR_H_
