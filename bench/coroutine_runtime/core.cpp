// What a switch, a copy, a timer and a short life cost, in round trips of Boost.Context's raw
// jump_fcontext measured in the same run. Prints Google Benchmark's table, then the ratios. Unless
// flags say otherwise, everything is measured several times in turns, and medians are compared.
#include <alloca.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/coroutine_runtime/boost_round_trip.h"
#include "bench/coroutine_runtime/figures.h"
#include "coroutine/control_block.h"
#include "coroutine/resume.h"
#include "coroutine/scheduler.h"
#include "coroutine/timer_wheel.h"

namespace {

using namespace cogi::coroutine;
using cogi::bench::PrintFigure;

void BoostRoundTrip(benchmark::State& state) {
  cogi::bench::BoostContext boost;
  for (auto _ : state) boost.RoundTrip();
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
  for (Coroutine* co : all) Abandon(co);
}
BENCHMARK(SharedRoundTrip)
    ->Args({1000, 0})
    ->Args({1000000, 0})
    ->Args({1000, 1024})
    ->Args({1000, 8192});

// SavedBytes() is how many bytes are kept of a coroutine of SharedRoundTrip().
size_t SavedBytes(size_t bytes) {
  Scheduler scheduler(OneStack());
  Coroutine* pair[2];
  for (Coroutine*& co : pair) {
    co = Create([bytes] { YieldsUnder(bytes); });
    Resume(*co);
  }
  const size_t saved = scheduler.stats().bytes_saved;
  for (Coroutine* co : pair) Abandon(co);
  return saved;
}

// The two memcpys alone: as many bytes, out to one of as many buffers and in from the next.
void TwoCopies(benchmark::State& state) {
  const size_t bytes = SavedBytes(static_cast<size_t>(state.range(1)));
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
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(TwoCopies)->Args({1000, 1024})->Args({1000, 8192});

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

// Collects CPU times by name: the median of the repetitions.
class Collecting : public benchmark::ConsoleReporter {
 public:
  Collecting() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> shown;
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration)
        times_[run.run_name.str()].push_back(run.GetAdjustedCPUTime());
      if (run.aggregate_name == "median" || run.aggregate_name == "cv" || run.repetitions == 1)
        shown.push_back(run);
    }
    ConsoleReporter::ReportRuns(shown);
  }
  double Median(const char* name) {
    std::vector<double>& times = times_[name];
    if (times.empty()) return 0;
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

 private:
  std::map<std::string, std::vector<double>> times_;
};

void PrintRatio(const char* what, double value, double unit, double goal) {
  if (value != 0 && unit != 0) PrintFigure(what, value / unit, goal);
}

void PrintRatios(Collecting& times) {
  const double boost = times.Median("BoostRoundTrip");
  std::printf("\nRatios of CPU time, in Boost.Context round trips unless said otherwise\n");
  PrintRatio("resume+yield, private stack", times.Median("PrivateRoundTrip"), boost, 0.75);
  PrintRatio("resume+yield, shared stack in conflict, 1,000",
             times.Median("SharedRoundTrip/1000/0"), boost, 2);
  PrintRatio("resume+yield, shared stack in conflict, 1,000,000",
             times.Median("SharedRoundTrip/1000000/0"), boost, 3);
  PrintRatio("the same, 1,000, 1 KiB more saved, in two memcpys",
             times.Median("SharedRoundTrip/1000/1024"), times.Median("TwoCopies/1000/1024"), 1.3);
  PrintRatio("the same, 1,000, 8 KiB more saved, in two memcpys",
             times.Median("SharedRoundTrip/1000/8192"), times.Median("TwoCopies/1000/8192"), 1.3);
  PrintRatio("create, run and finish a short coroutine", times.Median("CreateRunFinish") / 64,
             boost, 8);
  PrintRatio("arm and cancel a timer among a million", times.Median("ArmAndCancelAmongAMillion"),
             boost, 5);
  PrintFigure("control block, bytes", sizeof(Coroutine), 192);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  // Before the caller's, which win.
  char repetitions[] = "--benchmark_repetitions=9",
       interleaving[] = "--benchmark_enable_random_interleaving=true",
       time[] = "--benchmark_min_time=0.1";
  arguments.insert(arguments.begin() + 1, {repetitions, interleaving, time});
  arguments.push_back(nullptr);
  int count = static_cast<int>(arguments.size()) - 1;
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  Collecting reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  PrintRatios(reporter);
  return 0;
}
