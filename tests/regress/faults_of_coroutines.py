"""Faults of libco's core: switches, shared stacks, memory, timers, the event loop, its own API."""

from fault import fault

RESUME = "coroutine/resume.cpp"
SCHEDULER = "coroutine/scheduler.cpp"
LIFECYCLE = "coroutine/lifecycle.cpp"
SHARED = "coroutine/shared_stacks.cpp"
STACK = "coroutine/stack.cpp"
LIBCO = "coroutine/libco/co_routine.cpp"
LOOP = "coroutine/event_loop.cpp"
DESCRIPTORS = "coroutine/descriptors.cpp"
EPOLL = "coroutine/poller_epoll.cpp"

FAULTS_OF_COROUTINES = [
    # Shared stacks.
    fault("#64, #169: frames are not restored when the previous owner of the shared stack was released", """
          coroutine_test SharedStack.RestoresFramesAfterTheStacksPreviousOwnerWasReleased
          coroutine_test SharedStack.RestoresFramesAfterThePreviousOwnerEnded
          libco_test Libco.ReleaseOfThePreviousOwnerLosesNothing""",
          "the restore on a stack that is nobody's",
          [(SHARED, "  RunStack& stack = *co.stack;\n  if (stack.owner", "  RunStack& stack = *co.stack;\n"
            "  const bool free = stack.owner == nullptr;\n  if (stack.owner"),
           (SHARED, "} else if (co.save.used != 0) {", "} else if (co.save.used != 0 && !free) {")]),
    fault("nested resume inside one shared stack copies onto the stack it stands on", """
          coroutine_test SharedStack.NestsResumesBetweenCoroutinesOfOneStack""",
          "the transfer stack", [(RESUME, "|| from.stack == to.stack ||", "||")]),
    fault("co_reset on a shared stack crashes; nothing is unwound", "libco_test Libco.ResetStartsAgainAndUnwindsFirst",
          "Destroy() in co_reset()",
          [(LIBCO, "  core::Destroy(CoreOf(*co));\n  co->coroutine = nullptr;", "  co->coroutine = nullptr;")]),
    fault("a coroutine gets stack k mod n for life, however many live there", """
          coroutine_test SharedStack.ANewCoroutineTakesTheStackThatFewestUse""",
          "the choice of the vacant, else the least used stack",
          [(SHARED, "  while (!vacant_.empty()) {", "  while (false) {"),
           (SHARED, "(stack != avoid && stack->assigned < best->assigned)", "false")]),
    fault("#39: each save frees and allocates a buffer of the exact size", """
          coroutine_test SharedMemory.SavingFramesAllocatesNothingOnceWarm""",
          "the slabs of the save buffers",
          [("coroutine/save_buffers.cpp", "  auto& pool = pools_[ClassOf(capacity)];\n",
            "  return new char[capacity];\n  auto& pool = pools_[ClassOf(capacity)];\n"),
           ("coroutine/save_buffers.cpp", "    pools_[ClassOf(buffer.capacity)]->Give(buffer.data);", "    delete[] buffer.data;")]),
    fault("a save buffer keeps the largest size it ever had", "coroutine_test SharedStack.GivesMemoryOfADeepFrameBackOnceItIsShallow",
          "the shrinking of Fit()",
          [("coroutine/save_buffers.h", "if (size <= buffer.capacity && buffer.capacity - size <= 64 + size / 4) return true;",
            "if (size <= buffer.capacity) return true;")]),
    fault("pointers to locals that escape from a shared stack hit another's frames unseen", """
          coroutine_test WatchedStacksDeathTest.APointerThatEscapedFaultsAtOnce""",
          "PROT_NONE on the vacated stack", [(STACK, "usable ? PROT_READ | PROT_WRITE : PROT_NONE", "PROT_READ | PROT_WRITE")]),
    fault("what the kernel or a thread is given of a shared stack is overwritten while its owner waits", """
          coroutine_test Pins.KeepTheStackWhileOthersRun
          coroutine_test Pins.MakeOthersOfTheSameStackWaitForTheUnpin""",
          "the pin", [(SHARED, "  stack.pinned_by = &co;\n", "")]),
    fault("#172: no guard page, an overflow is silent", """
          coroutine_test GuardDeathTest.AnOverflowDoesNotReachTheStackBelow
          coroutine_test GuardDeathTest.NorOnOlderKernels
          (coroutine_test InspectingDeathTest.AnOverflowIsReportedWithNameAndSize)""",
          "the guard page", [(STACK, "  if (!InstallGuard(low, page)) {", "  if (false && !InstallGuard(low, page)) {")]),
    fault("#186: on i386 the return address is not saved", why_not="there is no switch for i386: context.h ends with #error"),
    # Memory.
    fault("8,392 bytes of control block: 85 GB for ten million coroutines", """
          coroutine_test SharedMemory.AHundredThousandParkedCoroutinesTakeLessThanAKilobyteEach
          (coroutine_test ControlBlock.TakesAtMost192Bytes)""",
          "the small control block",
          [("coroutine/control_block.h", "static_assert(sizeof(Coroutine) <= 192);", ""),
           ("coroutine/control_block.h", "  Locals* locals = nullptr;  // once used",
            "  Locals* locals = nullptr;  // once used\n  char specific[8192] = {};")]),
    fault("1.2 MB for each thread: an unused stack, a wheel of 60,000 slots, an array of events", """
          coroutine_test ThreadMemory.ASchedulerTakesLessThan200KilobytesOfResidentMemory""",
          "stacks that take memory only where they are used", [(STACK, "| MAP_NORESERVE | MAP_STACK", "| MAP_POPULATE")]),
    fault("three allocations for each blocking call", "coroutine_test Memory.AWaitForADescriptorAllocatesNothingOnceWarm",
          "the wait node in the control block",
          [(LOOP, "  WaitNode& node = self->node;\n  node.wanted = events;", "  delete new WaitNode[2];\n"
            "  WaitNode& node = self->node;\n  node.wanted = events;")]),
    fault("two calls of epoll_ctl for each blocking call", "coroutine_test EventLoop.AReaderWaitsForTheWriter",
          "the registration that stays",
          [(LOOP, "  if (got != nullptr) *got = node.got;\n  return reason", "  descriptors.Unregister(fd, descriptor);\n"
            "  if (got != nullptr) *got = node.got;\n  return reason")]),
    fault("co_create() does not look whether it got memory", "coroutine_test BadUse.NoMemoryForAStackIsAnErrorOfCreateAndNothingIsLost",
          "the looks at the kernel's answers", [(STACK, "  if (memory == MAP_FAILED) return false;\n", ""),
                                                (STACK, "  if (!InstallGuard(low, page)) {", "  if (false && !InstallGuard(low, page)) {")]),
    fault("co_alloc_sharestack() has no counterpart that frees", "libco_test LibcoMemory.SharedStacksAreGivenBack",
          "the unmapping", [(SHARED, "  for (auto& stack : stacks_) UnmapStack(*stack);", "")]),
    fault("values of CO_ROUTINE_SPECIFIC variables and of co_setspecific() are never freed",
          "libco_test LibcoMemory.SpecificValuesEndWithTheirCoroutine",
          "the destructor of a value", [(LIBCO, "core::SetLocal(number - 1, value, &std::free);", "core::SetLocal(number - 1, value);")]),
    fault("co_setspecific() writes behind its array of 1,024", "libco_test Libco.KeysMayBeAnyNumber",
          "values by key in a map",
          [(LIBCO, "return WithErrno([&] { (*ValuesOfCoroutine())[key] = value; }) == 0 ? 0 : errno;",
            "return WithErrno([&] { (*ValuesOfCoroutine())[key % 1024] = value; }) == 0 ? 0 : errno;"),
           (LIBCO, "  const auto found = values.find(key);", "  const auto found = values.find(key % 1024 + key / 1024);")]),
    fault("the thread's first use of a CO_ROUTINE_SPECIFIC variable is told by a flag without a barrier", """
          libco_test LibcoThread.ThreadsMakeTheKeyOfAVariableOnce""",
          "the lock around a new key",
          [(LIBCO, "    static std::mutex mutex;\n    const std::lock_guard<std::mutex> lock(mutex);\n"
            "    number = __atomic_load_n(key, __ATOMIC_ACQUIRE);\n", "")]),
    fault("thread exit leaks the environment", "libco_test LibcoThread.EndsWithoutALeak",
          "the end of the thread's environment", [(LIBCO, "    delete environment;\n", "")]),
    # Resume, yield, release.
    fault("#42: a depth of resume over 128 overruns an array", "coroutine_test Core.NestsDeeperThan128",
          "depth without a limit (at 128 the changed one stops)",
          [(RESUME, "  co.resumer = &self;\n", "  co.resumer = &self;\n  int depth = 0;\n"
            "  for (Coroutine* at = &self; at != &thread.root; at = &ResumerOf(*at, thread)) ++depth;\n"
            "  COGI_CHECK(depth < 128, \"too deep\");\n")]),
    fault("#119: a yield from the main coroutine crashes", "coroutine_test CoreDeathTest.SaysWhatWasDoneWrong",
          "the CHECK of a yield",
          [(RESUME, "  COGI_CHECK(thread.current != nullptr && thread.current != &thread.root,\n"
            "             \"yield outside a coroutine: there is nobody to yield to\");\n", "")]),
    fault("resume of a coroutine that has ended: anything may happen", "coroutine_test CoreDeathTest.SaysWhatWasDoneWrong",
          "the CHECK of a resume",
          [(RESUME, "  COGI_CHECK(co.state() != State::kDone,\n"
            "             \"resume of a coroutine that has ended: reset it or make a new one\");\n", "")]),
    fault("a double release frees twice", "coroutine_test CoreDeathTest.SaysWhatWasDoneWrong",
          "the CHECK of a release",
          [(RESUME, "  COGI_CHECK(co.scheduler != nullptr, \"a coroutine was released twice\");\n", "")]),
    fault("#60, #61: a resume on another thread mixes two threads' stacks", """
          coroutine_test CoreDeathTest.RefusesAResumeAndAReleaseOnAnotherThread""",
          "the CHECK of the thread",
          [(RESUME, "  COGI_CHECK(co.scheduler == thread.scheduler,\n"
            "             \"resume of a coroutine on another thread than its own: use Scheduler::Post()\");\n", "")]),
    fault("#9, #29, #34, #71: objects of a released coroutine are forgotten", """
          coroutine_test Core.DestroyRunsTheDestructorsOfASuspendedCoroutine
          coroutine_test Core.DestroyUnwindsFromInsideACatchBlock
          coroutine_test Core.DestroyFromAnotherCoroutineOfTheSameStack""",
          "the unwinding", [(RESUME, "    co.SetState(State::kParked);\n    Resume(co);\n", "")]),
    fault("a released coroutine leaves its timer and its places in lists behind", "libco_test Libco.ReleaseOfAWaitingCoroutineForgetsItsWait",
          "leaving the list at release",
          [(LIFECYCLE, "    if (co.node.list != nullptr) co.node.list->Remove(co.node);\n    timers.Cancel(co.timer);\n", "")]),
    fault("a mutex that a released coroutine waited for, or was given, stays locked", """
          libco_test Libco.AMutexsTurnOfAReleasedCoroutineGoesOn""",
          "handing the turn on", [("coroutine/sync.cpp", "    if (self.node.got == kHanded) Release();\n", "")]),
    fault("a signal of a condition for a coroutine that is released reaches nobody", """
          libco_test Libco.ASignalForAReleasedCoroutineGoesOn""",
          "signalling the next one", [(LIBCO, "    if (self->node.got == kSignalled) co_cond_signal(condition);\n", "")]),
    fault("an exception that leaves a coroutine ends the process", "coroutine_test Scheduling.PassesUncaughtExceptionsOn",
          "the handler", [(RESUME, "    co.scheduler->on_uncaught(co, exception);", "    std::terminate();")]),
    fault("a yield inside a catch block mixes the exceptions of coroutines", "coroutine_test Core.KeepsExceptionsOfAThousandCoroutinesApart",
          "the move of the exception globals",
          [(RESUME, "  const KeptWords kept(thread.words);\n", "")]),
    fault("errno is the thread's", "coroutine_test Core.CarriesErrnoAndFloatingPointModes",
          "the load of errno", [("coroutine/context_x86_64.S", "    movl    %r8d, (%rax)\n    LOAD    r15", "    LOAD    r15")]),
    fault("#90: mxcsr and the x87 control word are the thread's", """
          coroutine_test Core.CarriesErrnoAndFloatingPointModes
          (coroutine_test Core.CarriesSseModesThatWereSetByThemselves)""",
          "the restore of the modes",
          [("coroutine/context.cpp", "  words_.exception_globals[1] = exceptions_[1];\n  WriteModes(modes_);",
            "  words_.exception_globals[1] = exceptions_[1];")]),
    fault("fork: the child runs the parent's loop", "coroutine_test Scheduling.AForkedChildHasNoCurrentCoroutine",
          "the fork handler", [(SCHEDULER, "pthread_atfork(nullptr, nullptr, &ForgetParentsScheduler)", "pthread_atfork(nullptr, nullptr, nullptr)")]),
    fault("#76: no values go through resume and yield", "(coroutine_test Primitives.AChannelKeepsOrderAndEndsWhenClosed)",
          why_not="a wish: they go through channels, and bodies are closures"),
    fault("#137: programs fear switches that they do not see", "(libco_test Libco.HooksAreOffUntilEnabled)",
          why_not="a wish: blocking calls switch only in coroutines that have enabled it"),
    fault("#94: no header for C", why_not="not mended: the API is C++'s, as libco's is"),
    fault("#95, #100, #150, #178, #196, #225: no 64-bit ARM", why_not="the tests run there: aarch64.coroutine"),
    fault("no landing pads for indirect branches (CET)", "(house.exports Exports.test_branch_tracking_is_claimed_and_shadow_stacks_are_not)",
          why_not="no processor at hand enforces them; for ARM's, aarch64.coroutine runs with them enforced"),
    # Time.
    fault("#46: a timeout over 60 s is put off again and again", """
          clock_test Clocks.TimeoutsOfAMinuteTenMinutesAndTwentyFiveDaysAreExact
          coroutine_test TimerWheel.KnowsTheNextDeadlineToTheNanosecondHoweverFar""",
          "a wheel without an end", [("coroutine/timer_wheel.cpp", "  node.deadline = deadline;\n  File(node);",
                                      "  node.deadline = deadline < tick_ * 1'000'000 + 60'000'000'000 ? deadline : "
                                      "static_cast<int64_t>(tick_) * 1'000'000 + 60'000'000'000;\n  File(node);")]),
    fault("#51: sleeps take a fifth longer", """
          clock_test Clocks.TimeoutsOfAMinuteTenMinutesAndTwentyFiveDaysAreExact""",
          "the exact deadline", [("coroutine/wait.cpp", "impl.timers.Arm(co.timer, deadline.time_since_epoch().count());",
                                  "impl.timers.Arm(co.timer, deadline.time_since_epoch().count() + "
                                  "(deadline - Clock::now()).count() / 5);")]),
    fault("the wall clock set back stops every timer; set forth, all are due", """
          clock_test Clocks.SettingTheWallClockBackAndForthChangesNothing
          clock_test Clocks.TheLoopNeverAsksTheWallClock""",
          "the monotonic clock",
          [(SCHEDULER, "  clock_gettime(CLOCK_MONOTONIC, &time);\n  return time.tv_sec",
            "  static const int64_t shift = [] {\n    timespec wall{}, steady{};\n    clock_gettime(CLOCK_REALTIME, &wall);\n"
            "    clock_gettime(CLOCK_MONOTONIC, &steady);\n    return wall.tv_sec - steady.tv_sec;\n  }();\n"
            "  clock_gettime(CLOCK_REALTIME, &time);\n  time.tv_sec -= shift;\n  return time.tv_sec")]),
    fault("the look for due timers walks over every millisecond since the last", """
          coroutine_test TimerWheel.KnowsTheNextDeadlineToTheNanosecondHoweverFar""",
          "the bit maps of used slots",
          [("coroutine/timer_wheel.cpp", "  if (now_tick > tick_) tick_ = now_tick;",
            "  for (; now_tick > tick_; ++tick_) asm volatile(\"\");")]),
    fault("#52, #160: 1,000 wake-ups a second when idle", "coroutine_test Scheduling.SleepsWithoutWakeUps",
          "the sleep to the next deadline",
          [(SCHEDULER, "    int64_t next = timers.NextDeadline();\n", "    int64_t next = std::min(timers.NextDeadline(), time + 1'000'000);\n")]),
    fault("(to keep) the event loop's callback comes every millisecond", "libco_test Libco.TheLoopsCallbackIsCalledEveryMillisecondAndEndsIt",
          "the tick", [(LIBCO, "constexpr int64_t kTick = 1'000'000;", "constexpr int64_t kTick = 100'000'000;")]),
    # Waiting.
    fault("co_poll with timeout 0 calls a null function", "libco_test Libco.PollWithTimeoutZeroReturnsAtOnce",
          "the look before the wait",
          [(LIBCO, "  if (core::Running() == nullptr) return poll(fds, count, timeout);\n  return core::PollFds",
            "  if (core::Running() == nullptr) return poll(fds, count, timeout);\n"
            "  if (timeout == 0) return reinterpret_cast<int (*)(pollfd*)>(fds == nullptr ? nullptr : fds)(fds);\n  return core::PollFds")]),
    fault("a closed descriptor is waited for until the timeout", "libco_test Libco.PollReportsClosedDescriptorsAtOnce",
          "POLLNVAL",
          [(LOOP, "    const int ready = RealPoll(fds, count);\n    if (ready != 0) return ready;",
            "    int ready = RealPoll(fds, count);\n    for (nfds_t i = 0; i < count; ++i) ready -= fds[i].revents == POLLNVAL;\n"
            "    if (ready != 0) return ready;")]),
    fault("files are looked for in sets of one descriptor only", "coroutine_test EventLoop.PollFdsFindsAFileAmongOthersReady",
          "the look at all of them",
          [(LOOP, "    const int ready = RealPoll(fds, count);\n    if (ready != 0) return ready;",
            "    const int ready = RealPoll(fds, count > 1 ? 1 : count);\n    if (ready != 0) return ready;")]),
    fault("POLLPRI and POLLRDHUP are dropped", "coroutine_test EventLoop.UrgentDataAndHalfACloseAreEvents",
          "their registration",
          [(EPOLL, "constexpr uint32_t kEdgeEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;",
            "constexpr uint32_t kEdgeEvents = EPOLLIN | EPOLLOUT;")]),
    fault("#47: of two coroutines that wait for one descriptor only the first is woken", """
          coroutine_test EventLoop.ReaderAndWriterCanWaitForOneDescriptor
          hooks_descriptor_test Descriptors.ReaderAndWriterOfOneSocketWaitAtTheSameTime""",
          "waking all waiters",
          [(DESCRIPTORS, "      descriptor->waiters.Wake(*node);\n    }\n", "      descriptor->waiters.Wake(*node);\n    }\n    break;\n")]),
    fault("close() wakes nobody who waits", """
          coroutine_test EventLoop.ForgettingADescriptorWakesAllItsWaiters
          hooks_descriptor_test Descriptors.CloseWakesEveryReaderWithEbadf
          (hooks_descriptor_test Descriptors.CloseIsPollnvalForWhoPolls)""",
          "the wake-up", [(DESCRIPTORS, "  descriptor->waiters.WakeAll(WakeReason::kClosed);\n", "")]),
    fault("a descriptor number that is given again gets the old one's events", """
          coroutine_test EventLoop.EventsOfAnEarlierUseOfTheNumberAreDropped""",
          "the generation, and leaving epoll",
          [(DESCRIPTORS, "descriptor == nullptr || descriptor->generation != generation", "descriptor == nullptr"),
           (EPOLL, "void EpollPoller::Remove(int fd) noexcept { Control(EPOLL_CTL_DEL, fd, 0, 0); }",
            "void EpollPoller::Remove(int) noexcept {}")]),
    fault("data and end in one edge: the reader sleeps for ever", "coroutine_test EventLoop.AShortReadWithTheEndBehindItIsNotTakenForDrained",
          "the look at RDHUP", [(LOOP, "(descriptor->latched & (kAlways | EPOLLRDHUP)) != 0) return;\n  descriptor->latched &= ~static_cast",
                                 "(descriptor->latched & kAlways) != 0) return;\n  descriptor->latched &= ~static_cast")]),
    fault("a coroutine whose calls never wait starves the others", """
          coroutine_test Scheduling.ACallBudgetLetsTheOthersRun
          hooks_descriptor_test Descriptors.APeerThatAlwaysHasDataDoesNotStarveTheOthers""",
          "the budget", [(SCHEDULER, "--self->scheduler->budget < 0) Yield();", "false) Yield();")]),
    fault("co_cond_timedwait returns 0 after a timeout", "libco_test Libco.AConditionsTimeoutIsReported",
          "ETIMEDOUT", [(LIBCO, "      return ETIMEDOUT;", "      return 0;")]),
    # Building and loading.
    fault("co_yield is a keyword of C++20: the header does not parse", "house.libco_headers LibcoHeaders.test_headers_parse",
          "the other name", [("coroutine/libco/co_routine.h", "#if !defined(__cpp_impl_coroutine) && __cplusplus < 202002L", "#if 1")]),
    fault("the assembly makes every stack of the program executable", "house.exports Exports.test_the_stack_is_not_executable",
          ".note.GNU-stack", [("coroutine/context_x86_64.S", '.section .note.GNU-stack, "", @progbits', "")]),
]
