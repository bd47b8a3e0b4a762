#include "hooks/program_stdio.h"

#include <stdio_ext.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

#include "hooks/program.h"

namespace cogi::hooks {
namespace {

constexpr size_t kBufferSize = BUFSIZ;  // of the buffers that libc makes
constexpr int kUserBuffer = 1;          // in FILE::_flags: the buffer is not libc's to free

int DescriptorOf(void* cookie) { return static_cast<int>(reinterpret_cast<intptr_t>(cookie)); }

ssize_t ReadCookie(void* cookie, char* buffer, size_t size) {
  return ::read(DescriptorOf(cookie), buffer, size);
}

// A cookie's write must take everything: stdio counts less as an error.
ssize_t WriteCookie(void* cookie, const char* buffer, size_t size) {
  Program* program = Program::Current();
  // What a program that ended badly left in its buffer: libc flushes every FILE when the process
  // ends.
  if (program == nullptr && DescriptorOf(cookie) < 3) return static_cast<ssize_t>(size);
  const bool may_wait = program != nullptr && program->output_may_wait;
  if (program != nullptr) program->output_may_wait = may_wait || size % kBufferSize == 0;
  size_t done = 0;
  while (done < size) {
    const ssize_t wrote = ::write(DescriptorOf(cookie), buffer + done, size - done);
    if (wrote <= 0) break;
    done += static_cast<size_t>(wrote);
  }
  if (program != nullptr) program->output_may_wait = may_wait;
  return static_cast<ssize_t>(done);
}

int SeekCookie(void* cookie, off64_t* offset, int whence) {
  const off_t at = ::lseek(DescriptorOf(cookie), *offset, whence);
  if (at < 0) return -1;
  *offset = at;
  return 0;
}

int CloseCookie(void* cookie) {
  // At a program's end, the process's own 0 to 2 are not meant.
  if (DescriptorOf(cookie) < 3 && Program::Current() == nullptr) return 0;
  return ::close(DescriptorOf(cookie));
}

FILE* OpenCookie(int fd, const char* mode, bool owns) {
  const cookie_io_functions_t calls{ReadCookie, WriteCookie, SeekCookie,
                                    owns ? CloseCookie : nullptr};
  FILE* file = ::fopencookie(reinterpret_cast<void*>(static_cast<intptr_t>(fd)), mode, calls);
  // fileno() answers from here. Cookie streams make no system call of their own with it.
  if (file != nullptr) file->_fileno = fd;
  return file;
}

// What libc keeps behind FILE::_lock. A program that is abandoned in the middle of a stdio call
// leaves it taken.
struct FileLock {
  int lock;
  int count;
  void* owner;
};

// Gives a FILE that has none the buffer that libc has made for it before, empty.
void UseBuffer(FILE* file, char* buffer, char* end) {
  file->_flags &= ~kUserBuffer;
  file->_IO_buf_base = buffer;
  file->_IO_buf_end = end;
  file->_IO_read_base = file->_IO_read_ptr = file->_IO_read_end = buffer;
  file->_IO_write_base = file->_IO_write_ptr = file->_IO_write_end = buffer;
}

}  // namespace

FILE* CookieFile(int fd, const char* mode) { return OpenCookie(fd, mode, true); }

StandardFiles::~StandardFiles() {
  for (Slot& slot : slots_)
    if (slot.file != nullptr) ::fclose(slot.file);
}

void StandardFiles::Make(Slot& slot, int fd) {
  slot.file = OpenCookie(fd, fd == 0 ? "r" : "w", false);
  if (slot.file == nullptr) throw std::bad_alloc();
  if (fd == 2) ::setvbuf(slot.file, nullptr, _IONBF, 0);
  slot.pristine = *slot.file;
}

void StandardFiles::Restore(Slot& slot, int fd) {
  FILE* file = slot.file;
  std::memset(file->_lock, 0, sizeof(FileLock));
  if (file->_mode > 0) {  // wide: it has buffers besides those in FILE
    __fpurge(file);
    ::fclose(file);
    slot.file = nullptr;
    Make(slot, fd);
    return;
  }
  if (file->_IO_save_base != nullptr) __fpurge(file);  // frees what ungetc() allocated
  FILE* next = file->_chain;                           // libc's list of all FILEs has changed since
  char* const buffer = (file->_flags & kUserBuffer) == 0 ? file->_IO_buf_base : nullptr;
  char* const end = file->_IO_buf_end;
  *file = slot.pristine;
  file->_chain = next;
  if (buffer != nullptr) UseBuffer(file, buffer, end);
}

void StandardFiles::Reset() {
  for (int fd = 0; fd < 3; ++fd) {
    if (slots_[fd].file == nullptr)
      Make(slots_[fd], fd);
    else
      Restore(slots_[fd], fd);
  }
}

int StandardFiles::NumberOf(const FILE* file) const noexcept {
  for (int fd = 0; fd < 3; ++fd)
    if (slots_[fd].file == file) return fd;
  return -1;
}

OpenFiles::Entry OpenFiles::Remove(FILE* file) noexcept {
  const auto found = std::find_if(files_.begin(), files_.end(),
                                  [&](const Entry& entry) { return entry.file == file; });
  if (found == files_.end()) return {};
  const Entry entry = *found;
  files_.erase(found);
  return entry;
}

void OpenFiles::Remove(DIR* directory) noexcept { std::erase(directories_, directory); }

void OpenFiles::Flush() noexcept {
  // A flush may yield, and a program's own threads of control are one coroutine: nobody changes the
  // list meanwhile.
  for (const Entry& entry : files_)
    if (__fwriting(entry.file) != 0) ::fflush_unlocked(entry.file);
}

void OpenFiles::Discard(FILE* file) noexcept {
  std::memset(file->_lock, 0, sizeof(FileLock));
  __fpurge(file);
  ::fclose(file);
}

}  // namespace cogi::hooks
