// What a debugger must know to find the coroutines of a process or a core file without debugging
// information: a table of names and numbers, and where the schedulers are. gdb/cogi.py reads both;
// nothing in the process does.
#ifndef COGI_COROUTINE_DEBUG_LAYOUT_H_
#define COGI_COROUTINE_DEBUG_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "coroutine/export.h"
#include "coroutine/scheduler.h"

namespace cogi::coroutine {

struct DebugLayout {
  char name[24];
  uint64_t value;
};

extern "C" {
extern COGI_API const DebugLayout cogi_debug_layout[];  // ends with an empty name
extern COGI_API const std::vector<Scheduler::Impl*>* cogi_debug_schedulers;  // null: none yet
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_DEBUG_LAYOUT_H_
