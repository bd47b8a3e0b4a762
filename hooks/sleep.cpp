// sleep(), usleep(), nanosleep(), clock_nanosleep().
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"

namespace cogi::hooks {
namespace {

using coroutine::Deadline;
using coroutine::WakeReason;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kLongestSeconds = INT64_MAX / kSecond / 2;  // beyond: for ever

bool Valid(const timespec& time) {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < kSecond;
}

int64_t Nanoseconds(const timespec& time) {
  if (time.tv_sec > kLongestSeconds) return INT64_MAX;
  return time.tv_sec * kSecond + time.tv_nsec;
}

timespec TimeLeft(Deadline deadline) {
  const auto left = std::max<int64_t>(0, nanoseconds(deadline - coroutine::Clock::now()).count());
  return {left / kSecond, left % kSecond};
}

// Parks until `deadline`. 0, or ECANCELED with `*left` filled if given.
int SleepInside(Deadline deadline, timespec* left) {
  const WakeReason reason = Measured([&] { return coroutine::SleepUntil(deadline); });
  if (reason != WakeReason::kCancelled) return 0;
  if (left != nullptr) *left = TimeLeft(deadline);
  return ECANCELED;
}

int64_t Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return Nanoseconds(now);
}

// A timerfd of our own: no program's, which would close its number at its end.
class Timer {
 public:
  explicit Timer(clockid_t clock)
      : fd_(MadeOutside(real::timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC))) {}
  ~Timer() {
    if (fd_ < 0) return;
    coroutine::ForgetFd(fd_);
    real::close(fd_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// An absolute time of a clock that can be set is waited for by a timerfd on that clock, which knows
// when it is.
int SleepUntilSet(clockid_t clock, const timespec& until) {
  const Timer timer(clock);
  if (timer.fd() < 0) return errno;
  itimerspec setting{};
  setting.it_value = until;
  if (until.tv_sec == 0 && until.tv_nsec == 0) setting.it_value.tv_nsec = 1;  // 0 disarms
  if (timerfd_settime(timer.fd(), TFD_TIMER_ABSTIME, &setting, nullptr) != 0) return errno;
  const WakeReason reason =
      Measured([&] { return coroutine::WaitFd(timer.fd(), EPOLLIN, coroutine::kNoDeadline); });
  return reason == WakeReason::kCancelled ? ECANCELED : 0;
}

// A clock that no timer of the kernel offers (CPU time, TAI): sleep for what is left, look again.
int SleepByLooking(clockid_t clock, int64_t until, timespec* left) {
  for (;;) {
    const int64_t remaining = until - Now(clock);
    if (remaining <= 0) return 0;
    const int64_t pause = std::max<int64_t>(remaining / 4, 1'000'000);
    if (SleepInside(coroutine::After(nanoseconds(pause)), nullptr) == 0) continue;
    const int64_t rest = std::max<int64_t>(0, until - Now(clock));
    if (left != nullptr) *left = {rest / kSecond, rest % kSecond};
    return ECANCELED;
  }
}

bool HasTimer(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME || clock == CLOCK_REALTIME_ALARM ||
         clock == CLOCK_BOOTTIME_ALARM;
}

int ClockSleepInside(clockid_t clock, int flags, const timespec* request, timespec* left) {
  if (request == nullptr || !Valid(*request))
    return real::clock_nanosleep(clock, flags, request, left);
  const bool absolute = (flags & TIMER_ABSTIME) != 0;
  // Setting the clock does not change how long a relative sleep is.
  if (clock == CLOCK_MONOTONIC || (clock == CLOCK_REALTIME && !absolute)) {
    const int64_t wait = Nanoseconds(*request);
    if (!absolute) return SleepInside(coroutine::After(nanoseconds(wait)), left);
    return SleepInside(Deadline(nanoseconds(wait)), nullptr);
  }
  // The kernel's opinion on the clock: an absolute time that has passed does not wait.
  const timespec zero{};
  const int refused = real::clock_nanosleep(clock, TIMER_ABSTIME, &zero, nullptr);
  if (refused != 0) return refused;
  if (absolute && HasTimer(clock)) return SleepUntilSet(clock, *request);
  const int64_t wait = Nanoseconds(*request);
  const int64_t now = absolute ? 0 : Now(clock);
  const int64_t until = wait > INT64_MAX - now ? INT64_MAX : now + wait;
  return SleepByLooking(clock, until, absolute ? nullptr : left);
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API unsigned sleep(unsigned wait) {
  if (!Hooked()) [[likely]]
    return real::sleep(wait);
  CallRecord record(Call::sleep, wait);
  timespec left{};
  if (SleepInside(cogi::coroutine::After(seconds(wait)), &left) == 0) return record.Done(0u);
  errno = ECANCELED;
  return record.Done(static_cast<unsigned>(left.tv_sec + (left.tv_nsec > 0 ? 1 : 0)));
}

COGI_API int usleep(useconds_t wait) {
  if (!Hooked()) [[likely]]
    return real::usleep(wait);
  CallRecord record(Call::usleep, wait);
  const int error = SleepInside(cogi::coroutine::After(std::chrono::microseconds(wait)), nullptr);
  if (error == 0) return record.Done(0);
  errno = error;
  return record.Done(-1);
}

COGI_API int nanosleep(const timespec* request, timespec* left) {
  if (!Hooked()) [[likely]]
    return real::nanosleep(request, left);
  CallRecord record(Call::nanosleep, request == nullptr ? -1 : request->tv_sec);
  if (request == nullptr || !Valid(*request)) return record.Done(real::nanosleep(request, left));
  const int error = SleepInside(cogi::coroutine::After(nanoseconds(Nanoseconds(*request))), left);
  if (error == 0) return record.Done(0);
  errno = error;
  return record.Done(-1);
}
COGI_SAME(int, __nanosleep, (const timespec*, timespec*), nanosleep);

COGI_API int clock_nanosleep(clockid_t clock, int flags, const timespec* request, timespec* left) {
  if (!Hooked()) [[likely]]
    return real::clock_nanosleep(clock, flags, request, left);
  CallRecord record(Call::clock_nanosleep, clock);
  return record.Done(ClockSleepInside(clock, flags, request, left));
}

}  // extern "C"
