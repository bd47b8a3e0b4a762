// The stdio of a program: a FILE for each of its descriptors 0 to 2, and the record of the files
// and directories that it opened, so that they are flushed and closed at its end.
//
// The three FILEs are cookie streams over the hooked read() and write(), because libc's own FILEs
// make system calls that no hook sees. They are kept from program to program: making and closing
// them costs a walk through libc's list of all open FILEs, which is long when thousands of programs
// run.
#ifndef COGI_HOOKS_PROGRAM_STDIO_H_
#define COGI_HOOKS_PROGRAM_STDIO_H_

#include <dirent.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace cogi::hooks {

class StandardFiles {
 public:
  StandardFiles() = default;
  ~StandardFiles();
  StandardFiles(const StandardFiles&) = delete;
  StandardFiles& operator=(const StandardFiles&) = delete;

  // Reset() makes the three FILEs as new. Throws std::bad_alloc.
  void Reset();

  [[nodiscard]] FILE* operator[](int fd) const { return slots_[fd].file; }
  // NumberOf() is 0 to 2 for one of the three, or -1.
  [[nodiscard]] int NumberOf(const FILE* file) const noexcept;

 private:
  struct Slot {
    FILE* file = nullptr;
    FILE pristine{};  // without a buffer: libc makes one at the first use
  };
  static void Make(Slot& slot, int fd);
  static void Restore(Slot& slot, int fd);

  Slot slots_[3];
};

// OpenFiles are a program's FILEs and DIRs besides the three.
class OpenFiles {
 public:
  // How a FILE reaches its descriptor.
  enum class Kind : uint8_t {
    kPlain,   // libc's own calls, which no hook sees
    kCookie,  // the hooked calls (CookieFile)
    kMemory,  // it has none
  };
  struct Entry {
    FILE* file = nullptr;
    Kind kind = Kind::kPlain;
    char** memory = nullptr;  // where open_memstream() puts the buffer that the program must free
  };

  // Add(), Remove() keep the record. Removing what is not there returns an entry without a file.
  void Add(const Entry& entry) { files_.push_back(entry); }
  void Add(DIR* directory) { directories_.push_back(directory); }
  Entry Remove(FILE* file) noexcept;
  void Remove(DIR* directory) noexcept;

  // Forget() forgets them without closing any.
  void Forget() noexcept {
    files_.clear();
    directories_.clear();
  }
  // Flush() writes what is buffered, as exit(3) does.
  void Flush() noexcept;
  // CloseAll() closes everything without writing what is still buffered, as _exit(2) does. `closed`
  // is told each FILE's descriptor before.
  template <class Closing>
  void CloseAll(Closing closing) noexcept;

 private:
  static void Discard(FILE* file) noexcept;
  std::vector<Entry> files_;
  std::vector<DIR*> directories_;
};

// CookieFile() makes a FILE over the hooked calls on `fd`; fclose() of it closes the descriptor.
// Null with errno.
[[nodiscard]] FILE* CookieFile(int fd, const char* mode);

template <class Closing>
void OpenFiles::CloseAll(Closing closing) noexcept {
  while (!files_.empty()) {
    const Entry entry = files_.back();
    files_.pop_back();
    if (entry.kind != Kind::kMemory) closing(fileno(entry.file));
    Discard(entry.file);
  }
  while (!directories_.empty()) {
    DIR* directory = directories_.back();
    directories_.pop_back();
    closing(dirfd(directory));
    closedir(directory);
  }
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_STDIO_H_
