// How coroutine_core and coroutine_scale print what they have found: one line a figure, which
// bench/coroutine_runtime.py reads.
#ifndef COGI_BENCH_COROUTINE_RUNTIME_FIGURES_H_
#define COGI_BENCH_COROUTINE_RUNTIME_FIGURES_H_

#include <cstdio>

namespace cogi::bench {

inline void PrintFigure(const char* what, double value, double goal) {
  std::printf("%-58s %8.2f   at most %8.2f   %s\n", what, value, goal,
              value <= goal ? "met" : "MISSED");
}

}  // namespace cogi::bench

#endif  // COGI_BENCH_COROUTINE_RUNTIME_FIGURES_H_
