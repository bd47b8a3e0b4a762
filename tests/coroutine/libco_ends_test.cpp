// libco's API: threads, and what they and their coroutines give back at their ends.
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "coroutine/libco/co_routine.h"
#include "coroutine/libco/co_routine_specific.h"
#include "tests/coroutine/fixture.h"

namespace {

// Bytes of this process's address space.
size_t AddressSpace() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(LibcoMemory, SharedStacksAreGivenBack) {  // libco cannot
  co_free_sharestack(co_alloc_sharestack(4, 64 * 1024));
  const size_t before = AddressSpace();
  for (int i = 0; i < 50; ++i) co_free_sharestack(co_alloc_sharestack(4, 64 * 1024));
  EXPECT_LE(AddressSpace(), before + (4u << 20));  // of 13 MiB
}

struct Large {
  char bytes[4096];
};
CO_ROUTINE_SPECIFIC(Large, large);

TEST(LibcoMemory, SpecificValuesEndWithTheirCoroutine) {  // libco leaks them
  const auto generation = [] {
    for (int i = 0; i < 100; ++i) {
      stCoRoutine_t* co = nullptr;
      ASSERT_EQ(co_create(
                    &co, nullptr,
                    [](void*) -> void* {
                      large->bytes[0] = 1;
                      for (pthread_key_t key = 0; key < 100; ++key) co_setspecific(key, &key);
                      return nullptr;
                    },
                    nullptr),
                0);
      co_resume(co);
      co_release(co);
    }
  };
  generation();
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 5; ++i) generation();
  EXPECT_LE(mallinfo2().uordblks, before + 100'000);
}

// A variable's key is 0 until its first use, which libco tells by a flag without a lock. Here both
// threads see the 0 before either has written: the key lies on a page that cannot be written at
// first, and who writes waits there for the other, or until that can only be waiting for the lock.
class KeyOnAReadOnlyPage {
 public:
  KeyOnAReadOnlyPage()
      : page_(mmap(nullptr, Size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    present_ = this;
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) { present_->Written(info->si_addr); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_);
  }
  ~KeyOnAReadOnlyPage() {
    sigaction(SIGSEGV, &before_, nullptr);
    munmap(page_, Size());
  }
  KeyOnAReadOnlyPage(const KeyOnAReadOnlyPage&) = delete;
  KeyOnAReadOnlyPage& operator=(const KeyOnAReadOnlyPage&) = delete;

  size_t* key() const { return static_cast<size_t*>(page_); }
  int writers() const { return writers_; }

 private:
  static size_t Size() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
  void Written(const void* address) {
    if (address != page_) std::abort();
    ++writers_;
    for (int i = 0; i < 300 && writers_ < 2; ++i) {
      const timespec millisecond{0, 1'000'000};
      nanosleep(&millisecond, nullptr);
    }
    mprotect(page_, Size(), PROT_READ | PROT_WRITE);
  }

  static KeyOnAReadOnlyPage* present_;
  void* page_;
  std::atomic<int> writers_{0};
  struct sigaction before_ {};
};
KeyOnAReadOnlyPage* KeyOnAReadOnlyPage::present_ = nullptr;

TEST(LibcoThread, ThreadsMakeTheKeyOfAVariableOnce) {
  const KeyOnAReadOnlyPage page;
  std::atomic<int> through{0}, kept{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      void* const mine = cogi_co_routine_specific(page.key(), sizeof(size_t));
      ++through;
      while (through < 2) std::this_thread::yield();
      if (cogi_co_routine_specific(page.key(), sizeof(size_t)) == mine) ++kept;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(page.writers(), 1);
  EXPECT_EQ(kept, 2);
}

TEST(LibcoThread, EndsWithoutALeak) {
  const size_t before = cogi::coroutine::OpenDescriptors();
  for (int i = 0; i < 5; ++i) {
    std::thread([] {
      stCoRoutine_t* co = nullptr;
      co_create(
          &co, nullptr,
          [](void*) -> void* {
            co_yield_ct();
            return nullptr;
          },
          nullptr);
      co_resume(co);
      co_release(co);
    }).join();
  }
  EXPECT_EQ(cogi::coroutine::OpenDescriptors(), before);
}

}  // namespace
