#include "coroutine/debug_layout.h"

#include <cstddef>

#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {

// Not of standard layout, but the compilers that build this know where their members are.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

#define COGI_OFFSET(label, type, member) \
  { label, offsetof(type, member) }

struct SlabLayout {
  static constexpr size_t kAll = offsetof(SlabPool, all_), kFirst = SlabPool::kHeader,
                          kCarved = offsetof(SlabPool::Slab, carved),
                          kNext = offsetof(SlabPool::Slab, all_next);
};

constinit const std::vector<Scheduler::Impl*>* cogi_debug_schedulers = nullptr;

const DebugLayout cogi_debug_layout[] = {
    {"version", 1},
#if defined(__x86_64__)
    {"x86_64", sizeof(SwitchFrame)},
#elif defined(__aarch64__)
    {"aarch64", sizeof(SwitchFrame)},
#endif
    COGI_OFFSET("scheduler.started", Scheduler::Impl, started),
    COGI_OFFSET("scheduler.now", Scheduler::Impl, now),
    {"scheduler.slabs", offsetof(Scheduler::Impl, blocks) + SlabLayout::kAll},
    {"slab.carved", SlabLayout::kCarved},
    {"slab.next", SlabLayout::kNext},
    {"slab.first", SlabLayout::kFirst},
    {"coroutine.size", sizeof(Coroutine)},
    COGI_OFFSET("coroutine.sp", Coroutine, sp),
    COGI_OFFSET("coroutine.scheduler", Coroutine, scheduler),
    COGI_OFFSET("coroutine.mark", Coroutine, mark),
    COGI_OFFSET("coroutine.mode", Coroutine, mode),
    COGI_OFFSET("coroutine.pins", Coroutine, pins),
    COGI_OFFSET("coroutine.stack", Coroutine, stack),
    COGI_OFFSET("coroutine.resumer", Coroutine, resumer),
    COGI_OFFSET("coroutine.saved", Coroutine, save.data),
    COGI_OFFSET("coroutine.saved_used", Coroutine, save.used),
    COGI_OFFSET("coroutine.name", Coroutine, name),
    COGI_OFFSET("coroutine.subject", Coroutine, subject),
    COGI_OFFSET("coroutine.since", Coroutine, since),
    COGI_OFFSET("coroutine.wait_kind", Coroutine, wait_kind),
    COGI_OFFSET("coroutine.id", Coroutine, id),
    COGI_OFFSET("stack.base", RunStack, base),
    COGI_OFFSET("stack.top", RunStack, top),
    {"mark.elsewhere", kElsewhere},
    {"mark.on_top", kOnTop},
    {"", 0},
};

#pragma GCC diagnostic pop

}  // namespace cogi::coroutine
