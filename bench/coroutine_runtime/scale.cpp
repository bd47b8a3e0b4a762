// coroutine_scale [COUNT]: parks COUNT (default 10,000,000) coroutines on shared stacks, each in a
// sleep inside a function with 100 bytes of locals; then wakes and finishes all. Prints memory and
// cost, in Boost.Context round trips measured in this process. Exits with 1 if one did not finish
// correctly.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "bench/coroutine_runtime/boost_round_trip.h"
#include "bench/coroutine_runtime/figures.h"
#include "coroutine/scheduler.h"

namespace {

using namespace cogi::coroutine;
using cogi::bench::BoostRoundTrip;
using cogi::bench::CpuSeconds;
using cogi::bench::PrintFigure;

constexpr double kGoalBytes = 5.0 * (1 << 30) / 10'000'000;
constexpr double kGoalRoundTrips = 40;

double ResidentBytes() {
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// TouchMemory() has the machine at hand what is about to be used: the host of a virtual machine
// gives out memory at its first touch ever, which can take longer than all that is measured here.
// Returns the seconds that took.
double TouchMemory(size_t bytes) {
  const double start = CpuSeconds();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return 0;
  madvise(memory, bytes, MADV_HUGEPAGE);
  auto* page = static_cast<volatile char*>(memory);
  for (size_t at = 0; at < bytes; at += 4096) page[at] = 1;
  munmap(memory, bytes);
  return CpuSeconds() - start;
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

void OneTurn(Scheduler& scheduler) {
  int turns = 0;
  scheduler.RunUntil([&turns] { return ++turns == 1; });
}

void Park(Scheduler& scheduler, long count) {
  for (long i = 0; i < count; ++i) {
    scheduler.Spawn([i] { Work(i); });
    if (i % 1024 == 1023) OneTurn(scheduler);
  }
  OneTurn(scheduler);
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 10'000'000;
  const auto each = static_cast<double>(count);
  const double touch = TouchMemory(static_cast<size_t>(each * kGoalBytes));
  const double boost = BoostRoundTrip();
  Scheduler scheduler;
  const double resident = ResidentBytes();
  wake_at = Clock::now() + std::chrono::hours(1);
  double start = CpuSeconds();
  Park(scheduler, count);
  const double park = (CpuSeconds() - start) / each;
  const double bytes = (ResidentBytes() - resident) / each;
  const Scheduler::Stats stats = scheduler.stats();
  start = CpuSeconds();
  scheduler.ForEach([](Coroutine& co) { Cancel(co); });
  scheduler.Run();
  const double finish = (CpuSeconds() - start) / each;

  std::printf("%-58s %11ld\n", "coroutines parked on shared stacks", count);
  std::printf("%-58s %11ld\n", "finished correctly", finished);
  std::printf("%-58s %11.2f\n", "first touch of that memory before, s", touch);
  std::printf("%-58s %11.2f\n", "Boost.Context, ns a round trip", boost * 1e9);
  std::printf("%-58s %11.0f\n", "saved stack, bytes each",
              static_cast<double>(stats.bytes_saved) / static_cast<double>(stats.stack_saves));
  std::printf("%-58s %11.0f\n", "resident, bytes each", bytes);
  std::printf("%-58s %11.0f\n", "create and park, ns", park * 1e9);
  std::printf("%-58s %11.0f\n", "wake and finish, ns", finish * 1e9);
  PrintFigure("all of them parked, resident, GiB", bytes * each / (1 << 30),
              kGoalBytes * each / (1 << 30));
  PrintFigure("create and park one of them", park / boost, kGoalRoundTrips);
  PrintFigure("of them not finished correctly", static_cast<double>(count - finished), 0);
  return finished == count ? 0 : 1;
}
