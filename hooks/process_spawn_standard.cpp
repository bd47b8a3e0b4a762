#include "hooks/process_spawn_standard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <system_error>
#include <vector>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "coroutine/wait.h"
#include "hooks/descriptors.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

using coroutine::WakeReason;

constexpr size_t kPiece = 16 << 10;  // bytes carried at a time

// Carries what comes out of a pipe to a virtual file. Shared by its coroutine and by the program
// that waits for it.
struct Carrier {
  ~Carrier() { Close(); }
  void Close() {
    if (pipe < 0) return;
    if (coroutine::Scheduler::Current() != nullptr) coroutine::ForgetFd(pipe);
    real::close(pipe);
    pipe = -1;
  }

  int pipe = -1;
  VirtualFile* file = nullptr;  // null when the program does not wait any more
  bool done = false;
  coroutine::WaitList waiters;
};

// The carriers of the programs of this thread that have had children.
std::multimap<const ProgramState*, std::shared_ptr<Carrier>>& Carriers() {
  static thread_local std::multimap<const ProgramState*, std::shared_ptr<Carrier>> carriers;
  return carriers;
}

// False when nothing more comes.
bool CarryPiece(Carrier& carrier, std::vector<char>& buffer) {
  const ssize_t got = real::read(carrier.pipe, buffer.data(), buffer.size());
  if (got > 0) {
    for (ssize_t done = 0; done < got && carrier.file != nullptr;) {
      const iovec piece{buffer.data() + done, static_cast<size_t>(got - done)};
      const ssize_t written = carrier.file->Writev(&piece, 1);
      if (written <= 0) return false;
      done += written;
    }
    return carrier.file != nullptr;
  }
  if (got == 0 || errno != EAGAIN) return got < 0 && errno == EINTR;
  coroutine::MarkDrained(carrier.pipe, EPOLLIN);
  return coroutine::WaitFd(carrier.pipe, EPOLLIN, coroutine::kNoDeadline) == WakeReason::kReady;
}

void Carry(const std::shared_ptr<Carrier>& carrier) {
  std::vector<char> buffer(kPiece);
  while (CarryPiece(*carrier, buffer)) {
  }
  carrier->Close();
  carrier->done = true;
  carrier->waiters.WakeAll();
}

// The program's descriptor `number` becomes `fd`, which is closed here.
int Replace(ProgramState& program, int fd, int number) {
  program.Opened(fd);
  const int result = program.Dup2(fd, number);
  const int error = errno;
  program.Closed(fd);
  real::close(fd);
  return result < 0 ? error : 0;
}

// Output: the same pipe for all numbers that mean the same file.
int MakeOutputReal(ProgramState& program, VirtualFile* file) {
  int ends[2];
  if (real::pipe2(ends, O_CLOEXEC) != 0) return errno;
  int result = 0;
  for (const int number : {1, 2}) {
    if (program.Resolve(number).file != file) continue;
    const int copy = real::fcntl(ends[1], F_DUPFD_CLOEXEC, reinterpret_cast<void*>(3));
    result = copy < 0 ? errno : Replace(program, copy, number);
    if (result != 0) break;
  }
  real::close(ends[1]);
  if (result != 0) {
    real::close(ends[0]);
    return result;
  }
  real::fcntl(ends[0], F_SETFL, reinterpret_cast<void*>(O_NONBLOCK));
  ServerScope server;
  auto carrier = std::make_shared<Carrier>();
  carrier->pipe = ends[0];
  carrier->file = file;
  try {
    coroutine::Go([carrier] { Carry(carrier); }, {.name = "child output"});
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  Carriers().emplace(&program, carrier);
  return 0;
}

int CopyAll(VirtualFile& from, int to) {
  ServerScope server;
  std::vector<char> buffer(kPiece);
  for (;;) {
    const iovec piece{buffer.data(), buffer.size()};
    const ssize_t got = from.Readv(&piece, 1);
    if (got == 0) return 0;
    if (got < 0) return errno;
    if (real::write(to, buffer.data(), static_cast<size_t>(got)) != got) return ENOMEM;
  }
}

int Nothing() {
  return static_cast<int>(real::syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/dev/null"),
                                        O_RDONLY | O_CLOEXEC, 0, 0, 0));
}

// Input: a file in memory, so that parent and child share the place up to which it has been read.
// What cannot be read at all (a libfcgi program has its listening socket there) is an empty file.
int MakeInputReal(ProgramState& program, VirtualFile* file) {
  int fd = real::memfd_create("cogi-stdin", MFD_CLOEXEC);
  if (fd < 0) return errno;
  const int result = CopyAll(*file, fd);
  if (result != 0) {
    real::close(fd);
    if (result != ENOTCONN) return result;
    fd = Nothing();
    if (fd < 0) return errno;
  } else {
    real::lseek(fd, 0, SEEK_SET);
  }
  return Replace(program, fd, 0);
}

}  // namespace

int MakeStandardReal(ProgramState& program) {
  if (VirtualFile* input = program.Resolve(0).file; input != nullptr) {
    if (const int result = MakeInputReal(program, input); result != 0) return result;
  }
  for (const int number : {1, 2}) {
    VirtualFile* output = program.Resolve(number).file;
    if (output == nullptr) continue;
    if (const int result = MakeOutputReal(program, output); result != 0) return result;
  }
  return 0;
}

void FinishStandard(ProgramState& program) {
  const auto [begin, end] = Carriers().equal_range(&program);
  std::vector<std::shared_ptr<Carrier>> carriers;
  for (auto at = begin; at != end; ++at) carriers.push_back(at->second);
  Carriers().erase(begin, end);
  for (const std::shared_ptr<Carrier>& carrier : carriers) {
    while (!carrier->done) {
      carrier->waiters.Add(coroutine::WaitNodeOf(*coroutine::Current()));
      const WakeReason reason = coroutine::Park(coroutine::WaitKind::kJoin, 0);
      if (reason == WakeReason::kCancelled) break;
    }
    // Cut off: the file is gone when this returns. A background child finds a pipe without a
    // reader.
    carrier->file = nullptr;
    if (!carrier->done) carrier->Close();
  }
}

}  // namespace cogi::hooks
