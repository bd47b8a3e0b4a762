// Each program has values of its own for every pthread key.
#include "hooks/thread_keys.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "coroutine/scheduler.h"
#include "hooks/program_state.h"

namespace cogi::hooks {
namespace {

// A program whose descriptors are the kernel's.
class PlainProgram final : public ProgramState {
 public:
  PlainProgram() {
    coroutine::SetProgramSlot(*coroutine::Current(), static_cast<ProgramState*>(this));
  }
  ~PlainProgram() override {
    coroutine::SetProgramSlot(*coroutine::Current(), nullptr);
    EndKeys(*this);
  }
  PlainProgram(const PlainProgram&) = delete;
  PlainProgram& operator=(const PlainProgram&) = delete;
  Descriptor Resolve(int fd) noexcept override { return {fd, nullptr}; }
  void Opened(int) noexcept override {}
  void Closed(int) noexcept override {}
  int Dup2(int, int) noexcept override { return -1; }
  int CloseStandard(int) noexcept override { return -1; }
};

int g_destroyed = 0;

class Keys : public testing::TestWithParam<coroutine::StackMode> {
 protected:
  // The state outlives the coroutine's frames on no path: it is on the heap, as the server's is.
  void Program(const std::function<void()>& body) {
    scheduler_.Spawn(
        [body] {
          const auto program = std::make_unique<PlainProgram>();
          body();
        },
        {.stack_mode = GetParam()});
  }
  void Run() { scheduler_.Run(); }

 private:
  coroutine::Scheduler scheduler_;
};

INSTANTIATE_TEST_SUITE_P(StackModes, Keys,
                         testing::Values(coroutine::StackMode::kShared,
                                         coroutine::StackMode::kPrivate));

TEST_P(Keys, ValuesOfProgramsAreApartAndDestructorsRunAtTheirEnd) {
  g_destroyed = 0;
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, [](void*) { ++g_destroyed; }), 0);
  static int values[3];
  pthread_setspecific(key, &values[2]);
  for (int i = 0; i < 2; ++i) {
    Program([i, key] {
      EXPECT_EQ(pthread_getspecific(key), nullptr);
      EXPECT_EQ(pthread_setspecific(key, &values[i]), 0);
      usleep(2'000);
      EXPECT_EQ(pthread_getspecific(key), &values[i]);
    });
  }
  Run();
  EXPECT_EQ(g_destroyed, 2);
  EXPECT_EQ(pthread_getspecific(key), &values[2]) << "the thread's own value";
  pthread_setspecific(key, nullptr);
  pthread_key_delete(key);
}

TEST_P(Keys, AFailingHandshakeIsNotSeenByWhoIsParkedInsideOpenssl) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_method()),
                                                                  SSL_CTX_free);
  unsigned long parked = 1, failed = 0;
  int parked_reason = 0;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Program([&] {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), ends[0]);
    const timeval wait{0, 50'000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    const int result = SSL_accept(ssl.get());  // parked in the read of the ClientHello
    parked = ERR_peek_error();
    parked_reason = SSL_get_error(ssl.get(), result);
  });
  Program([&] {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    int bad[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, bad), 0);
    ASSERT_EQ(write(bad[1], "this is no TLS, whatever else it is", 35), 35);
    SSL_set_fd(ssl.get(), bad[0]);
    EXPECT_LE(SSL_connect(ssl.get()), 0);
    failed = ERR_peek_error();
    usleep(100'000);  // the error stays in its queue while the other goes on
    close(bad[0]);
    close(bad[1]);
  });
  Run();
  EXPECT_NE(failed, 0u);
  EXPECT_EQ(parked, 0u);
  EXPECT_EQ(parked_reason, SSL_ERROR_WANT_READ) << "EAGAIN, as the time-out says";
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace cogi::hooks
