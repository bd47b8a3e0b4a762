// What a switch, a copy, a timer and a short life cost, in round trips of Boost.Context's raw
// jump_fcontext measured in the same run. Prints Google Benchmark's table, then the ratios.
#include <alloca.h>
#include <benchmark/benchmark.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "coroutine/resume.h"
#include "coroutine/scheduler.h"
#include "coroutine/timer_wheel.h"

namespace {

using namespace cogi::coroutine;
namespace boost_context = boost::context::detail;

void BoostBody(boost_context::transfer_t from) {
  for (;;) from = boost_context::jump_fcontext(from.fctx, nullptr);
}

void BoostRoundTrip(benchmark::State& state) {
  constexpr size_t kSize = 64 << 10;
  const std::unique_ptr<char[]> stack(new char[kSize]);
  boost_context::fcontext_t context =
      boost_context::make_fcontext(stack.get() + kSize, kSize, &BoostBody);
  for (auto _ : state) context = boost_context::jump_fcontext(context, nullptr).fctx;
}
BENCHMARK(BoostRoundTrip);

void PrivateRoundTrip(benchmark::State& state) {
  Scheduler scheduler;
  SpawnOptions options;
  options.stack_mode = StackMode::kPrivate;
  Coroutine* co = Create(
      [] {
        for (;;) YieldToResumer();
      },
      options);
  for (auto _ : state) Resume(*co);
  Abandon(co);
}
BENCHMARK(PrivateRoundTrip);

// A frame of `bytes` bytes that is used, and a yield below it.
[[gnu::noinline]] void YieldsUnder(size_t bytes) {
  char* frame = static_cast<char*>(alloca(bytes + 1));
  frame[0] = 1;
  benchmark::DoNotOptimize(frame);
  for (;;) YieldToResumer();
}

SchedulerOptions OneStack() {
  SchedulerOptions options;
  options.shared_stacks = 1;
  return options;
}

// All coroutines share one stack: each resume copies the last one's frames out and its own in.
void SharedRoundTrip(benchmark::State& state) {
  Scheduler scheduler(OneStack());
  const auto bytes = static_cast<size_t>(state.range(1));
  std::vector<Coroutine*> all(static_cast<size_t>(state.range(0)));
  for (Coroutine*& co : all) {
    co = Create([bytes] { YieldsUnder(bytes); });
    Resume(*co);
  }
  size_t i = 0;
  for (auto _ : state) {
    Resume(*all[i]);
    if (++i == all.size()) i = 0;
  }
  const Scheduler::Stats stats = scheduler.stats();
  state.counters["saved"] =
      static_cast<double>(stats.bytes_saved) / static_cast<double>(stats.stack_saves);
  for (Coroutine* co : all) Abandon(co);
}
BENCHMARK(SharedRoundTrip)
    ->Args({1000, 0})
    ->Args({1000000, 0})
    ->Args({1000, 1024})
    ->Args({1000, 8192});

// The two memcpys alone, with the same working set.
void TwoCopies(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(1));
  std::vector<std::unique_ptr<char[]>> all(static_cast<size_t>(state.range(0)));
  for (auto& buffer : all) buffer.reset(new char[bytes]());
  const std::unique_ptr<char[]> stack(new char[bytes]());
  size_t before = all.size() - 1, i = 0;
  for (auto _ : state) {
    std::memcpy(all[before].get(), stack.get(), bytes);
    std::memcpy(stack.get(), all[i].get(), bytes);
    benchmark::ClobberMemory();
    before = i;
    if (++i == all.size()) i = 0;
  }
}
BENCHMARK(TwoCopies)->Args({1000, 1024 + 224})->Args({1000, 8192 + 224});

void CreateRunFinish(benchmark::State& state) {
  Scheduler scheduler;
  for (auto _ : state) {
    for (int i = 0; i < 64; ++i) scheduler.Spawn([] {});
    scheduler.Run();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(CreateRunFinish);

void ArmAndCancelAmongAMillion(benchmark::State& state) {
  constexpr int64_t kSecond = 1'000'000'000;
  TimerWheel wheel(1000 * kSecond);
  std::vector<TimerNode> armed(1'000'000);
  std::mt19937_64 random(1);
  for (TimerNode& node : armed)
    wheel.Arm(node, 1000 * kSecond + static_cast<int64_t>(random() % (600ull * kSecond)));
  TimerNode node;
  int64_t deadline = 1030 * kSecond;
  for (auto _ : state) {
    wheel.Arm(node, deadline);
    wheel.Cancel(node);
    deadline += 1000;
  }
}
BENCHMARK(ArmAndCancelAmongAMillion);

// Collects CPU times by name for the ratios.
class Collecting : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const double time = run.GetAdjustedCPUTime();
      double& best = times[run.run_name.str()];
      if (best == 0 || time < best) best = time;
    }
    ConsoleReporter::ReportRuns(runs);
  }
  std::map<std::string, double> times;
};

void PrintRatio(const char* what, double value, double unit, double goal) {
  if (value == 0 || unit == 0) return;
  std::printf("%-58s %6.2f   (at most %.2f)\n", what, value / unit, goal);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Collecting reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  auto& times = reporter.times;
  const double boost = times["BoostRoundTrip"];
  std::printf("\nRatios of CPU time, in Boost.Context round trips unless said otherwise\n");
  PrintRatio("resume+yield, private stack", times["PrivateRoundTrip"], boost, 0.75);
  PrintRatio("resume+yield, shared stack in conflict, 1,000", times["SharedRoundTrip/1000/0"],
             boost, 2);
  PrintRatio("the same among 1,000,000", times["SharedRoundTrip/1000000/0"], boost, 3);
  PrintRatio("the same with 1 KiB saved, in two memcpys", times["SharedRoundTrip/1000/1024"],
             times["TwoCopies/1000/1248"], 1.3);
  PrintRatio("the same with 8 KiB saved, in two memcpys", times["SharedRoundTrip/1000/8192"],
             times["TwoCopies/1000/8416"], 1.3);
  PrintRatio("create, run and finish a short coroutine", times["CreateRunFinish"] / 64, boost, 8);
  PrintRatio("arm and cancel a timer among a million", times["ArmAndCancelAmongAMillion"], boost,
             5);
  return 0;
}
