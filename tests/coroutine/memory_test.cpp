// What the runtime asks of the memory: nothing of malloc once it is warm, little for a scheduler,
// and for a parked coroutine hardly more than the frames it stands in.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "coroutine/control_block.h"
#include "coroutine/event_loop.h"
#include "coroutine/resume.h"
#include "tests/coroutine/fixture.h"

#if !COGI_SANITIZED  // sanitizers have operators of their own, and look at who frees what

namespace {
std::atomic<size_t> allocations{0};
}  // namespace

// Every operator new of this program is counted.
[[gnu::noinline]] void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;

// How many allocations `work` makes.
template <class Work>
size_t AllocationsOf(Work work) {
  const size_t before = allocations;
  work();
  return allocations - before;
}

[[maybe_unused]] size_t ResidentBytes() {
  size_t total = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

using Memory = InBothStackModes;
COGI_IN_BOTH_STACK_MODES(Memory);

class SharedMemory : public WithScheduler {
 protected:
  SchedulerOptions Options() override {
    SchedulerOptions options;
    options.shared_stacks = 1;
    return options;
  }
};

TEST_P(Memory, AShortCoroutineAllocatesNothingOnceWarm) {
  int ran = 0;
  const auto one = [&] {
    Go([&ran] { ++ran; });
    scheduler_->Run();
  };
  for (int i = 0; i < 100; ++i) one();
  EXPECT_EQ(AllocationsOf([&] {
              for (int i = 0; i < 1000; ++i) one();
            }),
            0u);
  EXPECT_EQ(ran, 1100);
}

TEST_F(SharedMemory, SavingFramesAllocatesNothingOnceWarm) {  // libco #39: free and malloc at each
  const auto body = [] {
    for (;;) {
      KeepsFrame<300>(1, [] { YieldToResumer(); });
      KeepsFrame<3000>(2, [] { YieldToResumer(); });
    }
  };
  Coroutine* a = Create(body);
  Coroutine* b = Create(body);
  const auto turn = [&] {
    Resume(*a);
    Resume(*b);
  };
  for (int i = 0; i < 10; ++i) turn();
  const uint64_t saves = scheduler_->stats().stack_saves;
  EXPECT_EQ(AllocationsOf([&] {
              for (int i = 0; i < 1000; ++i) turn();
            }),
            0u);
  EXPECT_EQ(scheduler_->stats().stack_saves - saves, 2000u);
  Destroy(a);
  Destroy(b);
}

TEST_P(Memory, AWaitForADescriptorAllocatesNothingOnceWarm) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  size_t allocated = 1;  // not known yet
  const auto read_one = [&] {
    char byte;
    while (read(ends[0], &byte, 1) != 1) {
      MarkDrained(ends[0], EPOLLIN);
      ASSERT_EQ(WaitFd(ends[0], EPOLLIN, After(10s)), WakeReason::kReady);
    }
  };
  Go([&] {
    for (int i = 0; i < 10; ++i) read_one();
    allocated = AllocationsOf([&] {
      for (int i = 0; i < 100; ++i) read_one();
    });
  });
  Go([&] {
    for (int i = 0; i < 110; ++i) {
      EXPECT_EQ(write(ends[1], "x", 1), 1);
      Yield();
    }
    while (allocated == 1) Yield();  // its own end is not to be counted
  });
  scheduler_->Run();
  EXPECT_EQ(allocated, 0u);
  for (const int fd : ends) {
    ForgetFd(fd);
    close(fd);
  }
}

// libco: 8,500 bytes each.
TEST_F(SharedMemory, AHundredThousandParkedCoroutinesTakeLessThanAKilobyteEach) {
  if (under_valgrind) GTEST_SKIP() << "Valgrind's own memory is counted";
  constexpr size_t kCount = 100'000;
  size_t woken = 0;
  const size_t before = ResidentBytes();
  for (size_t i = 0; i < kCount; ++i) {
    scheduler_->Spawn([&woken, i] {
      if (KeepsFrame<100>(static_cast<unsigned>(i), [] { SleepFor(1s); })) ++woken;
    });
  }
  size_t most = 0;
  scheduler_->Spawn([&most] {
    Yield();
    most = ResidentBytes();
  });
  scheduler_->Run();
  EXPECT_EQ(woken, kCount);
  EXPECT_LT((most - before) / kCount, 1024u);
}

// libco: 1.2 MB for each thread's timer wheel, event array and the unused stack of its main
// coroutine.
TEST(ThreadMemory, ASchedulerTakesLessThan200KilobytesOfResidentMemory) {
  if (under_valgrind) GTEST_SKIP() << "Valgrind's own memory is counted";
  constexpr int kThreads = 32;
  std::mutex mutex;
  std::condition_variable changed;
  int made = 0;
  bool end = false;
  std::vector<std::thread> threads;
  const auto await = [&](int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return made == count; });
  };
  const auto life = [&] {
    Scheduler scheduler;
    scheduler.Spawn([] { SleepFor(1ms); });
    scheduler.Run();
    std::unique_lock lock(mutex);
    ++made;
    changed.notify_all();
    changed.wait(lock, [&] { return end; });
  };
  threads.emplace_back(life);  // and with it what the process has only once
  await(1);
  const size_t before = ResidentBytes();
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(life);
  await(kThreads + 1);
  EXPECT_LT((ResidentBytes() - before) / kThreads, 200u << 10);
  {
    const std::lock_guard lock(mutex);
    end = true;
  }
  changed.notify_all();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cogi::coroutine

#endif
