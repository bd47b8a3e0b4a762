// The unit of these benchmarks: one round trip of Boost.Context's raw jump_fcontext, in this
// process.
#ifndef COGI_BENCH_COROUTINE_RUNTIME_BOOST_ROUND_TRIP_H_
#define COGI_BENCH_COROUTINE_RUNTIME_BOOST_ROUND_TRIP_H_

#include <time.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <memory>
#include <vector>

namespace cogi::bench {

// CpuSeconds() is the time that the process has had of a processor, in the kernel too.
inline double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class BoostContext {
 public:
  // CpuSeconds() is called for its arithmetic. The new context has the mxcsr of this moment, and
  // jump_fcontext loads it on each jump: had this side computed for the first time only later, the
  // two would differ in a status flag from then on, and changing mxcsr costs some processors ten
  // times the rest of the jump.
  BoostContext() : stack_(new char[kSize]) {
    volatile double now = CpuSeconds();
    static_cast<void>(now);
    context_ = boost::context::detail::make_fcontext(stack_.get() + kSize, kSize, &Body);
  }
  void RoundTrip() { context_ = boost::context::detail::jump_fcontext(context_, nullptr).fctx; }

 private:
  static constexpr size_t kSize = 64 << 10;
  static void Body(boost::context::detail::transfer_t from) {
    for (;;) from = boost::context::detail::jump_fcontext(from.fctx, nullptr);
  }
  std::unique_ptr<char[]> stack_;
  boost::context::detail::fcontext_t context_;
};

// BoostRoundTrip() is the median of several measurements, in seconds.
inline double BoostRoundTrip() {
  constexpr int kRounds = 21, kCount = 200'000;
  BoostContext boost;
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    const double start = CpuSeconds();
    for (int i = 0; i < kCount; ++i) boost.RoundTrip();
    times.push_back((CpuSeconds() - start) / kCount);
  }
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

}  // namespace cogi::bench

#endif  // COGI_BENCH_COROUTINE_RUNTIME_BOOST_ROUND_TRIP_H_
