// coroutine_scale [COUNT]: parks COUNT (default 10,000,000) coroutines on shared stacks, each in a
// sleep inside a function with 100 bytes of locals; then wakes and finishes all. Prints memory and
// cost.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "coroutine/scheduler.h"

namespace {

using namespace cogi::coroutine;
namespace boost_context = boost::context::detail;

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double ResidentBytes() {
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void BoostBody(boost_context::transfer_t from) {
  for (;;) from = boost_context::jump_fcontext(from.fctx, nullptr);
}

// The best of several measurements: the goal is set in what the switch can do.
double BoostRoundTrip() {
  constexpr size_t kSize = 64 << 10;
  constexpr int kRounds = 10, kCount = 1'000'000;
  const std::unique_ptr<char[]> stack(new char[kSize]);
  auto context = boost_context::make_fcontext(stack.get() + kSize, kSize, &BoostBody);
  double best = 1;
  for (int round = 0; round < kRounds; ++round) {
    const double start = CpuSeconds();
    for (int i = 0; i < kCount; ++i) context = boost_context::jump_fcontext(context, nullptr).fctx;
    best = std::min(best, (CpuSeconds() - start) / kCount);
  }
  return best;
}

Deadline wake_at;
long finished = 0;

[[gnu::noinline]] void Work(long number) {
  volatile char locals[100];
  for (char volatile& byte : locals) byte = static_cast<char>(number);
  SleepUntil(wake_at);
  for (char volatile& byte : locals) {
    if (byte != static_cast<char>(number)) return;
  }
  ++finished;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 10'000'000;
  const double boost = BoostRoundTrip();
  Scheduler scheduler;
  const double resident = ResidentBytes();
  const double start = CpuSeconds();
  wake_at = Clock::now() + std::chrono::hours(1);
  for (long i = 0; i < count; ++i) {
    scheduler.Spawn([i] { Work(i); });
    if (i % 1024 == 1023) {
      int turns = 0;
      scheduler.RunUntil([&turns] { return ++turns == 1; });
    }
  }
  int turns = 0;
  scheduler.RunUntil([&turns] { return ++turns == 1; });
  const double parked = CpuSeconds();
  const double used = ResidentBytes() - resident;
  const Scheduler::Stats stats = scheduler.stats();
  std::printf("Boost.Context        %.1f ns a round trip\n", boost * 1e9);
  std::printf("parked               %ld\n", count);
  std::printf(
      "resident             %.2f GiB, %.0f bytes each (at most 5 GiB for 10,000,000: 537)\n",
      used / (1 << 30), used / static_cast<double>(count));
  std::printf("saved stack          %.0f bytes each\n",
              static_cast<double>(stats.bytes_saved) / static_cast<double>(stats.stack_saves));
  std::printf("create and park one  %.0f ns = %.1f Boost.Context round trips (at most 40)\n",
              (parked - start) / static_cast<double>(count) * 1e9,
              (parked - start) / static_cast<double>(count) / boost);
  scheduler.ForEach([](Coroutine& co) { Cancel(co); });
  scheduler.Run();
  std::printf("wake and finish one  %.0f ns\n",
              (CpuSeconds() - parked) / static_cast<double>(count) * 1e9);
  std::printf("finished correctly   %ld\n", finished);
  return finished == count ? 0 : 1;
}
