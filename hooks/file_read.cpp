#include "hooks/file_read.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <new>

#include "hooks/blocking.h"
#include "hooks/descriptors.h"
#include "hooks/helper_pool.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

constinit std::atomic<bool> g_offload{true};

constexpr size_t kColdPiece = 256 << 10;  // bytes that a helper reads at a time

// What a helper thread does, and owns: the coroutine may be gone before it has ended.
struct Job {
  std::unique_ptr<char[]> data;
  ssize_t result = -1;
  int error = 0;
};

// Runs `call` on a helper thread. Returns its result with errno; ECANCELED if the coroutine is
// cancelled first. May yield. What is allocated here is not the program's: a helper thread may free
// it.
template <class BlockingCall>
ssize_t OnHelper(int fd, size_t room, char* target, BlockingCall call) {
  const ServerScope server;
  const auto job = std::make_shared<Job>();
  if (room > 0) job->data.reset(new char[room]);
  const coroutine::WakeReason reason = Measured([&] {
    return RunOnHelper(coroutine::WaitKind::kThread, static_cast<uintptr_t>(fd), [job, call] {
      job->result = call(job->data.get());
      job->error = errno;
    });
  });
  if (reason == coroutine::WakeReason::kClosed) {  // no thread could be had
    job->result = call(job->data.get());
    job->error = errno;
  } else if (reason != coroutine::WakeReason::kReady) {
    errno = ECANCELED;
    return -1;
  }
  if (job->result > 0 && room > 0)
    memcpy(target, job->data.get(), static_cast<size_t>(job->result));
  errno = job->error;
  return job->result;
}

ssize_t ReadReal(int fd, const iovec* pieces, int count, off_t offset) {
  return offset == -1 ? real::readv(fd, pieces, count) : real::preadv(fd, pieces, count, offset);
}

ssize_t ReadCold(int fd, const iovec& piece, off_t offset) {
  const size_t size = std::min(piece.iov_len, kColdPiece);
  return OnHelper(fd, size, static_cast<char*>(piece.iov_base), [fd, size, offset](char* data) {
    return offset == -1 ? real::read(fd, data, size) : real::pread(fd, data, size, offset);
  });
}

// Asks for the rest after `done` bytes: from the page cache, or, if it is not there, by a helper.
ssize_t ReadPart(int fd, const iovec* pieces, size_t count, size_t done, off_t offset) {
  const off_t at = offset == -1 ? -1 : offset + static_cast<off_t>(done);
  const PiecePosition from = Locate(pieces, count, done);
  const iovec& piece = pieces[from.index];
  const iovec rest{static_cast<char*>(piece.iov_base) + from.offset, piece.iov_len - from.offset};
  const ssize_t got = done == 0 ? real::preadv2(fd, pieces, static_cast<int>(count), at, RWF_NOWAIT)
                                : real::preadv2(fd, &rest, 1, at, RWF_NOWAIT);
  if (got >= 0 || errno != EAGAIN) return got;
  return ReadCold(fd, rest, at);
}

int Synchronize(int fd, int (*call)(int)) {
  return OnKernelFd(fd, EINVAL, [&](int resolved) {
    if (!g_offload.load(std::memory_order_relaxed) || FdTable::Get(resolved) == nullptr)
      return call(resolved);
    return static_cast<int>(OnHelper(
        resolved, 0, nullptr, [resolved, call](char*) -> ssize_t { return call(resolved); }));
  });
}

}  // namespace

void OffloadFiles(bool on) noexcept { g_offload.store(on, std::memory_order_relaxed); }

ssize_t ReadFile(int fd, Description& description, const iovec* pieces, int count, off_t offset) {
  const bool sensible = pieces != nullptr && count > 0 && count <= IOV_MAX && offset >= -1;
  if (!sensible || description.refuses_nowait() || !g_offload.load(std::memory_order_relaxed))
    return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  const size_t total = std::min(TotalSize(pieces, static_cast<size_t>(count)), kMaxTransfer);
  if (total == 0) return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  size_t done = 0;
  while (done < total) {
    const ssize_t got = ReadPart(fd, pieces, static_cast<size_t>(count), done, offset);
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<size_t>(got);
      continue;
    }
    if (done > 0) break;
    if (errno == ECANCELED) return -1;
    // Not a file that knows RWF_NOWAIT, or an error: the real call has the last word.
    if (errno == EOPNOTSUPP) description.set_refuses_nowait();
    return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  }
  coroutine::ChargeCall();
  return static_cast<ssize_t>(done);
}

ssize_t BringIntoMemory(int fd, Description& description, off_t offset, size_t size) {
  const auto as_it_is = static_cast<ssize_t>(size);
  if (size == 0 || offset < 0 || description.refuses_nowait() ||
      !g_offload.load(std::memory_order_relaxed))
    return as_it_is;
  const size_t piece = std::min(size, kColdPiece);
  const auto in_memory = [&](off_t at) {
    char byte;
    const iovec one{&byte, 1};
    const ssize_t got = real::preadv2(fd, &one, 1, at, RWF_NOWAIT);
    if (got < 0 && errno == EOPNOTSUPP) description.set_refuses_nowait();
    return got >= 0 || errno != EAGAIN;
  };
  // The ends tell of what lies between: files come into memory, and leave it, by longer stretches.
  if (in_memory(offset) && in_memory(offset + static_cast<off_t>(piece) - 1))
    return static_cast<ssize_t>(piece);
  const ssize_t done = OnHelper(fd, 0, nullptr, [fd, piece, offset](char*) -> ssize_t {
    const std::unique_ptr<char[]> data(new (std::nothrow) char[piece]);
    if (data != nullptr) static_cast<void>(real::pread(fd, data.get(), piece, offset));
    return 0;
  });
  return done < 0 ? -1 : static_cast<ssize_t>(piece);
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
