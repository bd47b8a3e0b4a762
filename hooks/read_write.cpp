// read(), write() and their vector and offset forms.
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/file_read.h"
#include "hooks/file_write.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

// What the kernel refuses at once goes to it as it is.
bool Sensible(const iovec* pieces, int count) {
  return pieces != nullptr && count > 0 && count <= IOV_MAX;
}

ssize_t ReadInside(int fd, void* buffer, size_t size) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) {
    const iovec piece{buffer, size};
    return what.file->Readv(&piece, 1);
  }
  Description* description = FdTable::Get(what.fd);
  if (description != nullptr && description->kind() == FdKind::kFile) {
    const iovec piece{buffer, size};
    return ReadFile(what.fd, *description, &piece, 1, -1);
  }
  if (description == nullptr || description->PassesThrough())
    return Direct([&] { return real::read(what.fd, buffer, size); });
  FdWait wait(what.fd, EPOLLIN, description->receive_timeout());
  const ssize_t got =
      UntilReady(wait, [&] { return ReadOnce(what.fd, *description, buffer, size); });
  if (got < 0) return -1;
  NoteRead(what.fd, *description, got, size);
  wait.Charge();
  return got;
}

ssize_t ReadvInside(int fd, const iovec* pieces, int count) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) return what.file->Readv(pieces, count);
  Description* description = FdTable::Get(what.fd);
  if (description != nullptr && description->kind() == FdKind::kFile)
    return ReadFile(what.fd, *description, pieces, count, -1);
  if (description == nullptr || description->PassesThrough() || !Sensible(pieces, count))
    return Direct([&] { return real::readv(what.fd, pieces, count); });
  FdWait wait(what.fd, EPOLLIN, description->receive_timeout());
  const ssize_t got =
      UntilReady(wait, [&] { return ReadvOnce(what.fd, *description, pieces, count); });
  if (got < 0) return -1;
  NoteRead(what.fd, *description, got, TotalSize(pieces, count));
  wait.Charge();
  return got;
}

ssize_t WriteInside(int fd, const void* buffer, size_t size) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) {
    const iovec piece{const_cast<void*>(buffer), size};
    return what.file->Writev(&piece, 1);
  }
  Description* description = FdTable::Get(what.fd);
  if (description != nullptr && description->kind() == FdKind::kFile) {
    const iovec piece{const_cast<void*>(buffer), size};
    return WriteFile(what.fd, *description, &piece, 1, -1);
  }
  if (description == nullptr || description->PassesThrough())
    return Direct([&] { return real::write(what.fd, buffer, size); });
  FdWait wait(what.fd, EPOLLOUT, description->send_timeout());
  return TransferAll(wait, *description, std::min(size, kMaxTransfer), [&](size_t done) {
    return WriteOnce(what.fd, *description, static_cast<const char*>(buffer) + done,
                     std::min(size, kMaxTransfer) - done);
  });
}

// `before`: bytes that have been written already.
ssize_t WritevInside(int fd, const iovec* pieces, int count, size_t before = 0) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) return what.file->Writev(pieces, count);
  Description* description = FdTable::Get(what.fd);
  if (description != nullptr && description->kind() == FdKind::kFile)
    return WriteFile(what.fd, *description, pieces, count, -1);
  if (description == nullptr || description->PassesThrough() || !Sensible(pieces, count))
    return Direct([&] { return real::writev(what.fd, pieces, count); });
  FdWait wait(what.fd, EPOLLOUT, description->send_timeout());
  return TransferAll(
      wait, *description, std::min(TotalSize(pieces, count), kMaxTransfer) - before,
      [&](size_t done) { return WritevOnce(what.fd, *description, pieces, count, before + done); });
}

ssize_t WriteOutside(int fd, const void* buffer, size_t size) {
  const ssize_t put = real::write(fd, buffer, size);
  if (put == static_cast<ssize_t>(size) || (put < 0 ? !WouldBlock(fd) : !CutShort(fd))) [[likely]]
    return put;
  const size_t done = put < 0 ? 0 : static_cast<size_t>(put);
  const ssize_t rest = WriteInside(fd, static_cast<const char*>(buffer) + done, size - done);
  return rest < 0 ? put : static_cast<ssize_t>(done) + rest;
}

ssize_t WritevOutside(int fd, const iovec* pieces, int count) {
  const ssize_t put = real::writev(fd, pieces, count);
  if (put < 0 ? !WouldBlock(fd) : !CutShort(fd)) [[likely]]
    return put;
  const size_t done = put < 0 ? 0 : static_cast<size_t>(put);
  if (done == TotalSize(pieces, count)) return put;
  const ssize_t rest = WritevInside(fd, pieces, count, done);
  return rest < 0 ? put : static_cast<ssize_t>(done) + rest;
}

// The forms with an offset work on files; a virtual file, like any pipe, has no
// offsets.
template <class Attempt>
ssize_t AtOffset(int fd, Attempt attempt) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) {
    errno = ESPIPE;
    return -1;
  }
  return Direct([&] { return attempt(what.fd); });
}

// `offset` is not -1 unless that is the program's mistake.
ssize_t ReadAtInside(int fd, const iovec* pieces, int count, off_t offset) {
  return AtOffset(fd, [&](int resolved) -> ssize_t {
    Description* description = FdTable::Get(resolved);
    if (description == nullptr || description->kind() != FdKind::kFile || offset < 0)
      return real::preadv(resolved, pieces, count, offset);
    return ReadFile(resolved, *description, pieces, count, offset);
  });
}

ssize_t WriteAtInside(int fd, const iovec* pieces, int count, off_t offset) {
  return AtOffset(fd, [&](int resolved) -> ssize_t {
    Description* description = FdTable::Get(resolved);
    if (description == nullptr || description->kind() != FdKind::kFile || offset < 0)
      return real::pwritev(resolved, pieces, count, offset);
    return WriteFile(resolved, *description, pieces, count, offset);
  });
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API ssize_t read(int fd, void* buffer, size_t size) {
  if (Plain(fd)) [[likely]]
    return real::read(fd, buffer, size);
  if (!Hooked())
    return Outside(fd, real::read(fd, buffer, size), [&] { return ReadInside(fd, buffer, size); });
  CallRecord record(Call::read, fd);
  return record.Done(ReadInside(fd, buffer, size));
}

COGI_API ssize_t readv(int fd, const iovec* pieces, int count) {
  if (Plain(fd)) [[likely]]
    return real::readv(fd, pieces, count);
  if (!Hooked())
    return Outside(fd, real::readv(fd, pieces, count),
                   [&] { return ReadvInside(fd, pieces, count); });
  CallRecord record(Call::readv, fd);
  return record.Done(ReadvInside(fd, pieces, count));
}

COGI_API ssize_t write(int fd, const void* buffer, size_t size) {
  if (Plain(fd)) [[likely]]
    return real::write(fd, buffer, size);
  if (!Hooked()) return WriteOutside(fd, buffer, size);
  CallRecord record(Call::write, fd);
  return record.Done(WriteInside(fd, buffer, size));
}

COGI_API ssize_t writev(int fd, const iovec* pieces, int count) {
  if (Plain(fd)) [[likely]]
    return real::writev(fd, pieces, count);
  if (!Hooked()) return WritevOutside(fd, pieces, count);
  CallRecord record(Call::writev, fd);
  return record.Done(WritevInside(fd, pieces, count));
}

COGI_API ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
  if (!Hooked()) [[likely]]
    return real::pread(fd, buffer, size, offset);
  CallRecord record(Call::pread, fd);
  const iovec piece{buffer, size};
  return record.Done(ReadAtInside(fd, &piece, 1, offset));
}

COGI_API ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) {
  if (!Hooked()) [[likely]]
    return real::pwrite(fd, buffer, size, offset);
  CallRecord record(Call::pwrite, fd);
  const iovec piece{const_cast<void*>(buffer), size};
  return record.Done(WriteAtInside(fd, &piece, 1, offset));
}

COGI_API ssize_t preadv(int fd, const iovec* pieces, int count, off_t offset) {
  if (!Hooked()) [[likely]]
    return real::preadv(fd, pieces, count, offset);
  CallRecord record(Call::preadv, fd);
  return record.Done(ReadAtInside(fd, pieces, count, offset));
}

COGI_API ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  if (!Hooked()) [[likely]]
    return real::pwritev(fd, pieces, count, offset);
  CallRecord record(Call::pwritev, fd);
  return record.Done(WriteAtInside(fd, pieces, count, offset));
}

COGI_API ssize_t preadv2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  if (!Hooked()) [[likely]]
    return real::preadv2(fd, pieces, count, offset, flags);
  CallRecord record(Call::preadv2, fd);
  if (offset == -1 && flags == 0) return record.Done(ReadvInside(fd, pieces, count));
  if (flags == 0) return record.Done(ReadAtInside(fd, pieces, count, offset));
  return record.Done(AtOffset(
      fd, [&](int resolved) { return real::preadv2(resolved, pieces, count, offset, flags); }));
}

COGI_API ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  if (!Hooked()) [[likely]]
    return real::pwritev2(fd, pieces, count, offset, flags);
  CallRecord record(Call::pwritev2, fd);
  if (offset == -1 && flags == 0) return record.Done(WritevInside(fd, pieces, count));
  if (flags == 0) return record.Done(WriteAtInside(fd, pieces, count, offset));
  return record.Done(AtOffset(
      fd, [&](int resolved) { return real::pwritev2(resolved, pieces, count, offset, flags); }));
}

COGI_SAME(ssize_t, __read, (int, void*, size_t), read);
COGI_SAME(ssize_t, __write, (int, const void*, size_t), write);
COGI_SAME(ssize_t, pread64, (int, void*, size_t, off64_t), pread);
COGI_SAME(ssize_t, __pread64, (int, void*, size_t, off64_t), pread);
COGI_SAME(ssize_t, pwrite64, (int, const void*, size_t, off64_t), pwrite);
COGI_SAME(ssize_t, __pwrite64, (int, const void*, size_t, off64_t), pwrite);
COGI_SAME(ssize_t, preadv64, (int, const iovec*, int, off64_t), preadv);
COGI_SAME(ssize_t, pwritev64, (int, const iovec*, int, off64_t), pwritev);
COGI_SAME(ssize_t, preadv64v2, (int, const iovec*, int, off64_t, int), preadv2);
COGI_SAME(ssize_t, pwritev64v2, (int, const iovec*, int, off64_t, int), pwritev2);

COGI_API ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
  CheckRoom(size, room);
  return read(fd, buffer, size);
}

COGI_API ssize_t __pread_chk(int fd, void* buffer, size_t size, off_t offset, size_t room) {
  CheckRoom(size, room);
  return pread(fd, buffer, size, offset);
}
COGI_SAME(ssize_t, __pread64_chk, (int, void*, size_t, off64_t, size_t), __pread_chk);

}  // extern "C"
