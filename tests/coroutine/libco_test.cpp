// libco's API: what programs rely on, and what libco gets wrong (tests/regress/README.md has the
// table).
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/coroutine.h"
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

TEST(LibcoThread, EndsWithoutALeak) {
  const size_t before = cogi::coroutine::OpenDescriptors();
  for (int i = 0; i < 5; ++i) {
    std::thread([] {
      stCoRoutine_t* co = nullptr;
      co_create(
          &co, nullptr,
          [](void*) -> void* {
            co_yield_ct();
            return nullptr;
          },
          nullptr);
      co_resume(co);
      co_release(co);
    }).join();
  }
  EXPECT_EQ(cogi::coroutine::OpenDescriptors(), before);
}

}  // namespace
