#include "hooks/file_helper.h"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "hooks/blocking.h"
#include "hooks/descriptors.h"
#include "hooks/helper_pool.h"

namespace cogi::hooks {
namespace {

constinit std::atomic<bool> g_offload{true};

constexpr std::align_val_t kAlignment{4096};

int Synchronize(int fd, int (*call)(int)) {
  return OnKernelFd(fd, EINVAL, [&](int resolved) {
    if (FdTable::Get(resolved) == nullptr) return call(resolved);
    return static_cast<int>(OnFileHelper(static_cast<uintptr_t>(resolved),
                                         [resolved, call]() -> ssize_t { return call(resolved); }));
  });
}

}  // namespace

void OffloadFiles(bool on) noexcept { g_offload.store(on, std::memory_order_relaxed); }
bool FilesAreOffloaded() noexcept { return g_offload.load(std::memory_order_relaxed); }

coroutine::WakeReason WaitForHelper(uintptr_t subject, std::function<void()> work) {
  if (FilesAreSlow()) [[unlikely]]
    work = [work = std::move(work)] {
      real::usleep(g_switches.slow_files);
      work();
    };
  return Measured([&] {
    return RunOnHelper(coroutine::WaitKind::kThread, subject, std::move(work),
                       coroutine::kNoDeadline, true);
  });
}

std::shared_ptr<char[]> NewBounce(size_t size) noexcept {
  try {
    const ServerScope server;  // a helper thread may be the one who frees it
    return {new (kAlignment) char[size], [](char* data) { operator delete[](data, kAlignment); }};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int fsync(int fd) {
  if (!Hooked()) return real::fsync(fd);
  CallRecord record(Call::fsync, fd);
  return record.Done(Synchronize(fd, [](int resolved) { return real::fsync(resolved); }));
}

COGI_API int fdatasync(int fd) {
  if (!Hooked()) return real::fdatasync(fd);
  CallRecord record(Call::fdatasync, fd);
  return record.Done(Synchronize(fd, [](int resolved) { return real::fdatasync(resolved); }));
}

}  // extern "C"
