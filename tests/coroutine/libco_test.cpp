// libco's API: what programs rely on, and what libco gets wrong (tests/regress/README.md has the
// table).
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/event_loop.h"
#include "coroutine/libco/co_closure.h"
#include "coroutine/libco/co_comm.h"
#include "coroutine/libco/co_routine_inner.h"
#include "coroutine/libco/co_routine_specific.h"
#include "coroutine/resume.h"
#include "tests/coroutine/fixture.h"

namespace {

using cogi::coroutine::KeepsFrame;

// Both kinds of stack: libco's private ones, and one shared stack for all.
class Libco : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) attributes_.share_stack = co_alloc_sharestack(1, 128 * 1024);
  }
  void TearDown() override {
    for (stCoRoutine_t* co : made_) co_release(co);
    if (attributes_.share_stack != nullptr) co_free_sharestack(attributes_.share_stack);
  }
  stCoRoutine_t* Create(pfn_co_routine_t routine, void* arg = nullptr) {
    stCoRoutine_t* co = nullptr;
    EXPECT_EQ(co_create(&co, &attributes_, routine, arg), 0);
    made_.push_back(co);
    return co;
  }
  void Release(stCoRoutine_t* co) {
    std::erase(made_, co);
    co_release(co);
  }
  stCoRoutineAttr_t attributes_;
  std::vector<stCoRoutine_t*> made_;
};
INSTANTIATE_TEST_SUITE_P(Mode, Libco, ::testing::Bool(), [](const auto& mode) {
  return mode.param ? std::string("SharedStack") : std::string("PrivateStack");
});

template <class Function>
pfn_co_routine_t Calls() {
  return [](void* function) -> void* {
    (*static_cast<Function*>(function))();
    return nullptr;
  };
}
#define CREATE(function) Create(Calls<decltype(function)>(), &(function))

TEST_P(Libco, ResumesAndYields) {
  std::string log;
  auto body = [&] {
    log += 'a';
    co_yield_ct();
    log += 'b';
    co_yield_to_resumer(co_self());
    log += 'c';
  };
  stCoRoutine_t* co = CREATE(body);
  EXPECT_EQ(co->cStart, 0);
  for (const char* expected : {"a", "ab", "abc"}) {
    co_resume(co);
    EXPECT_EQ(log, expected);
  }
  EXPECT_EQ(co->cEnd, 1);
}

TEST_P(Libco, KnowsWhoRuns) {
  stCoRoutine_t* seen = nullptr;
  auto body = [&] { seen = co_self(); };
  stCoRoutine_t* co = CREATE(body);
  co_resume(co);
  EXPECT_EQ(seen, co);
  ASSERT_NE(co_self(), nullptr);
  EXPECT_EQ(co_self()->cIsMain, 1);
  std::thread([] { EXPECT_EQ(co_self(), nullptr); }).join();
}

TEST_P(Libco, ReleaseOfThePreviousOwnerLosesNothing) {  // #64, #169
  bool kept = false;
  auto first = [&] { kept = KeepsFrame<700>(1, [] { co_yield_ct(); }); };
  auto second = [&] { KeepsFrame<900>(2, [] { co_yield_ct(); }); };
  stCoRoutine_t* a = CREATE(first);
  stCoRoutine_t* b = CREATE(second);
  co_resume(a);
  co_resume(b);
  Release(b);
  co_resume(a);
  EXPECT_TRUE(kept);
}

TEST_P(Libco, ResetStartsAgainAndUnwindsFirst) {  // crashes on a shared stack in libco
  int started = 0, ended = 0;
  struct Guard {
    int& count;
    ~Guard() { ++count; }
  };
  auto body = [&] {
    const Guard guard{ended};
    ++started;
    co_yield_ct();
  };
  stCoRoutine_t* co = CREATE(body);
  co_resume(co);
  co_reset(co);
  EXPECT_EQ(ended, 1);
  co_resume(co);
  co_resume(co);
  EXPECT_EQ(started, 2);
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(co->cEnd, 1);
  co_reset(co);
  co_resume(co);
  EXPECT_EQ(started, 3);
  Release(co);
  EXPECT_EQ(ended, 3);
}

// Runs the event loop until `done`.
template <class Done>
int RunLoop(Done done, int* ticks = nullptr) {
  struct Context {
    Done* done;
    int count = 0;
  } context{&done};
  co_eventloop(
      co_get_epoll_ct(),
      [](void* given) -> int {
        auto& self = *static_cast<Context*>(given);
        ++self.count;
        return (*self.done)() ? -1 : 0;
      },
      &context);
  if (ticks != nullptr) *ticks = context.count;
  return context.count;
}

TEST_P(Libco, ACoroutineOfCogisOwnCanBeReleasedByItsView) {
  stCoRoutine_t* view = nullptr;
  co_init_curr_thread_env();
  cogi::coroutine::Coroutine* co = cogi::coroutine::Create([&view] {
    view = co_self();
    co_yield_ct();
    ADD_FAILURE() << "went on";
  });
  cogi::coroutine::Resume(*co);
  ASSERT_NE(view, nullptr);
  co_release(view);
}

using LibcoDeathTest = Libco;
INSTANTIATE_TEST_SUITE_P(Mode, LibcoDeathTest, ::testing::Bool(), [](const auto& mode) {
  return mode.param ? std::string("SharedStack") : std::string("PrivateStack");
});

TEST_P(LibcoDeathTest, SaysWhatWasDoneWrong) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto nothing = [] {};
  stCoRoutine_t* ended = CREATE(nothing);
  co_resume(ended);
  EXPECT_DEATH(co_resume(ended), "has ended: reset it or make a new one");
  EXPECT_DEATH(co_resume(nullptr), "of null");
  EXPECT_DEATH(co_resume(co_self()), "of a thread's main coroutine");
  EXPECT_DEATH(co_release(co_self()), "of a thread's main coroutine");
  EXPECT_DEATH(co_yield_ct(), "yield outside a coroutine");
  auto releases_itself = [] { co_release(co_self()); };
  EXPECT_DEATH(co_resume(CREATE(releases_itself)), "release of a coroutine that runs");
}

TEST_P(LibcoDeathTest, ASecondReleaseIsSaidAlsoWhenOthersWereMadeMeanwhile) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto nothing = [] {};
  stCoRoutine_t* gone = CREATE(nothing);
  co_resume(gone);
  Release(gone);
  for (int i = 0; i < 10; ++i) co_resume(CREATE(nothing));
  EXPECT_DEATH(co_release(gone), "released twice");
  EXPECT_DEATH(co_resume(gone), "has been released");
  EXPECT_DEATH(co_reset(gone), "has been released");
}

TEST_P(Libco, PollWithTimeoutZeroReturnsAtOnce) {  // calls a null function in libco
  int result = -1, pipe_result = -1;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto body = [&] {
    result = co_poll(co_get_epoll_ct(), nullptr, 0, 0);
    pollfd set{ends[0], POLLIN, 0};
    pipe_result = co_poll(co_get_epoll_ct(), &set, 1, 0);
  };
  co_resume(CREATE(body));
  EXPECT_EQ(result, 0);
  EXPECT_EQ(pipe_result, 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_P(Libco, PollReportsClosedDescriptorsAtOnce) {  // waits for the whole timeout in libco
  int result = -1;
  short events = 0;
  auto body = [&] {
    pollfd set{1023, POLLIN, 0};
    result = co_poll(co_get_epoll_ct(), &set, 1, 10000);
    events = set.revents;
  };
  stCoRoutine_t* co = CREATE(body);
  co_resume(co);
  EXPECT_EQ(co->cEnd, 1);
  EXPECT_EQ(result, 1);
  EXPECT_EQ(events, POLLNVAL);
}

TEST_P(Libco, TheLoopsCallbackIsCalledEveryMillisecondAndEndsIt) {
  bool slept = false;
  auto body = [&] {
    EXPECT_EQ(co_poll(co_get_epoll_ct(), nullptr, 0, 1000), 0);
    slept = true;
  };
  co_resume(CREATE(body));
  int ticks = 0;
  RunLoop([&] { return slept; }, &ticks);
  EXPECT_TRUE(slept);
  EXPECT_GE(ticks, 334);  // of a thousand: a loaded machine may keep the process waiting
}

TEST_P(Libco, AResumeByHandEndsAPollEarly) {
  int result = -1;
  auto body = [&] { result = co_poll(co_get_epoll_ct(), nullptr, 0, 60000); };
  stCoRoutine_t* co = CREATE(body);
  co_resume(co);
  co_resume(co);
  EXPECT_EQ(co->cEnd, 1);
  EXPECT_EQ(result, 0);
}

TEST_P(Libco, ConditionsWakeInOrderAtTheNextTurn) {
  std::string log;
  stCoCond_t* condition = co_cond_alloc();
  auto waits = [&](char name) {
    return [&log, condition, name] {
      EXPECT_EQ(co_cond_timedwait(condition, -1), 0);
      log += name;
    };
  };
  auto a = waits('a'), b = waits('b'), c = waits('c');
  co_resume(CREATE(a));
  co_resume(CREATE(b));
  co_resume(CREATE(c));
  EXPECT_EQ(co_cond_signal(condition), 0);
  EXPECT_EQ(log, "") << "deferred";
  RunLoop([&] { return log.size() == 1; });
  EXPECT_EQ(log, "a");
  co_cond_broadcast(condition);
  RunLoop([&] { return log.size() == 3; });
  EXPECT_EQ(log, "abc");
  co_cond_free(condition);
}

TEST_P(Libco, AConditionsTimeoutIsReported) {  // libco returns 0
  int result = -1;
  stCoCond_t* condition = co_cond_alloc();
  auto body = [&] { result = co_cond_timedwait(condition, 2); };
  co_resume(CREATE(body));
  RunLoop([&] { return result != -1; });
  EXPECT_EQ(result, ETIMEDOUT);
  co_cond_free(condition);
}

CO_ROUTINE_SPECIFIC(int, counter);

TEST_P(Libco, SpecificValuesAreTheCoroutinesOwn) {
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  int right = 0;
  auto body = [&] {
    int own = 0;
    EXPECT_EQ(co_getspecific(key), nullptr);
    EXPECT_EQ(co_setspecific(key, &own), 0);
    EXPECT_EQ(*counter, 0);
    *counter = 7;
    co_yield_ct();
    if (co_getspecific(key) != nullptr && *counter == 7) ++right;
  };
  stCoRoutine_t* a = CREATE(body);
  stCoRoutine_t* b = CREATE(body);
  co_resume(a);
  co_resume(b);
  co_resume(a);
  co_resume(b);
  EXPECT_EQ(right, 2);
  EXPECT_EQ(co_getspecific(key), nullptr);
  pthread_key_delete(key);
}

// libco leaves its timer and its places in lists behind, which are then used.
TEST_P(Libco, ReleaseOfAWaitingCoroutineForgetsItsWait) {
  stCoCond_t* condition = co_cond_alloc();
  int ends[2], woken = 0;
  ASSERT_EQ(pipe(ends), 0);
  auto on_condition = [&] {
    co_cond_timedwait(condition, -1);
    ++woken;
  };
  auto on_both = [&] {
    co_cond_timedwait(condition, 5);
    ++woken;
  };
  auto on_descriptor = [&] {
    pollfd set{ends[0], POLLIN, 0};
    co_poll(co_get_epoll_ct(), &set, 1, 5);
    ++woken;
  };
  auto last = [&] {
    EXPECT_EQ(co_cond_timedwait(condition, 1000), 0);
    ++woken;
  };
  stCoRoutine_t* gone[] = {CREATE(on_condition), CREATE(on_both), CREATE(on_descriptor)};
  for (stCoRoutine_t* co : gone) co_resume(co);
  co_resume(CREATE(last));
  for (stCoRoutine_t* co : gone) Release(co);
  EXPECT_EQ(woken, 0);
  int slept = 0;
  auto sleeps = [&] {  // in the memory of those that are gone
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(co_poll(co_get_epoll_ct(), nullptr, 0, 20), 0);
    if (std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(20)) ++slept;
  };
  for (size_t i = 0; i < std::size(gone); ++i) co_resume(CREATE(sleeps));
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(co_cond_signal(condition), 0);  // reaches the one that is left
  RunLoop([&] { return woken >= 1 && slept >= 3; });
  EXPECT_EQ(woken, 1);
  co_cond_free(condition);
  cogi::coroutine::ForgetFd(ends[0]);
  close(ends[0]);
  close(ends[1]);
}

TEST_P(Libco, KeysMayBeAnyNumber) {  // beyond 1,023 libco writes behind its array
  auto body = [] {
    int own = 0;
    EXPECT_EQ(co_setspecific(1'000'000, &own), 0);
    EXPECT_EQ(co_getspecific(1'000'000), &own);
    EXPECT_EQ(co_getspecific(1'000'001), nullptr);
  };
  co_resume(CREATE(body));
}

TEST_P(Libco, MutexesAreFirstComeFirstServed) {
  clsCoMutex mutex;
  std::string log;
  auto holds = [&](char name) {
    return [&log, &mutex, name] {
      const clsSmartLock lock(&mutex);
      log += name;
      co_poll(co_get_epoll_ct(), nullptr, 0, 1);
      log += name;
    };
  };
  auto a = holds('a'), b = holds('b'), c = holds('c');
  co_resume(CREATE(a));
  co_resume(CREATE(b));
  co_resume(CREATE(c));
  RunLoop([&] { return log.size() == 6; });
  EXPECT_EQ(log, "aabbcc");
}

// One that waits for a mutex, or was given it, and is released leaves its turn to the next.
TEST_P(Libco, AMutexsTurnOfAReleasedCoroutineGoesOn) {
  for (const bool given : {false, true}) {
    clsCoMutex mutex;
    int through = 0;
    auto holds = [&] {
      const clsSmartLock lock(&mutex);
      co_yield_ct();
    };
    auto passes = [&] {
      const clsSmartLock lock(&mutex);
      ++through;
    };
    stCoRoutine_t *holder = CREATE(holds), *victim = CREATE(passes), *next = CREATE(passes);
    for (stCoRoutine_t* co : {holder, victim, next}) co_resume(co);
    if (!given) Release(victim);
    co_resume(holder);
    if (given) Release(victim);
    int ticks = 0;
    RunLoop([&] { return through == 1 || ++ticks == 100; });
    EXPECT_EQ(through, 1) << (given ? "given" : "waiting");
    EXPECT_EQ(next->cEnd, 1);
  }
}

TEST_P(Libco, ASignalForAReleasedCoroutineGoesOn) {
  stCoCond_t* condition = co_cond_alloc();
  int woken = 0;
  auto waits = [&] {
    co_cond_timedwait(condition, -1);
    ++woken;
  };
  stCoRoutine_t *victim = CREATE(waits), *next = CREATE(waits);
  co_resume(victim);
  co_resume(next);
  co_cond_signal(condition);
  Release(victim);
  int ticks = 0;
  RunLoop([&] { return woken == 1 || ++ticks == 100; });
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(next->cEnd, 1);
  co_cond_free(condition);
}

TEST_P(Libco, HooksStayEnabledOverAReset) {
  std::string log;
  auto body = [&] {
    log += co_is_enable_sys_hook() ? '1' : '0';
    co_enable_hook_sys();
  };
  stCoRoutine_t* co = CREATE(body);
  co_resume(co);
  co_reset(co);
  co_resume(co);
  EXPECT_EQ(log, "01");
  EXPECT_EQ(co->cEnableSysHook, 1);
}

TEST_P(Libco, HooksAreOffUntilEnabled) {
  std::string log;
  auto body = [&] {
    log += co_is_enable_sys_hook() ? '1' : '0';
    co_enable_hook_sys();
    log += co_is_enable_sys_hook() ? '1' : '0';
    co_disable_hook_sys();
    log += co_is_enable_sys_hook() ? '1' : '0';
  };
  co_resume(CREATE(body));
  EXPECT_EQ(log, "010");
}

TEST(LibcoClosure, CapturesByCopyAndByReference) {
  std::vector<int> list;
  int total = 100;
  std::vector<stCoClosure_t*> closures;
  for (int i = 0; i < 3; ++i) {
    co_ref(all, total, list);
    co_func(Add, all, i) { all.list.push_back(all.total + i); }
    co_func_end;
    closures.push_back(new Add(all, i));
  }
  co_func(Nothing) {}
  co_func_end;
  closures.push_back(new Nothing);
  total = 200;
  for (stCoClosure_t* closure : closures) {
    closure->exec();
    delete closure;
  }
  EXPECT_EQ(list, (std::vector<int>{200, 201, 202}));
}

TEST(LibcoAttributes, SizesOutOfRangeAreMended) {
  for (const int size : {-5, 0, 1, 100 << 20}) {
    stCoRoutineAttr_t attributes;
    attributes.stack_size = size;
    stCoRoutine_t* co = nullptr;
    ASSERT_EQ(co_create(
                  &co, &attributes, [](void*) -> void* { return nullptr; }, nullptr),
              0);
    co_resume(co);
    EXPECT_EQ(co->cEnd, 1);
    co_release(co);
  }
  EXPECT_EQ(co_alloc_sharestack(0, 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

}  // namespace
