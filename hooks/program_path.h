// The working directory and the umask of a program. The process has one of each; a program has its
// own on paper, put in place around each call that takes a path. Programs that use no relative path
// and no umask cost no system call.
#ifndef COGI_HOOKS_PROGRAM_PATH_H_
#define COGI_HOOKS_PROGRAM_PATH_H_

#include <sys/types.h>

#include <cerrno>
#include <string>

namespace cogi::hooks {

class Program;

// ProgramPlace is a program's working directory and umask.
class ProgramPlace {
 public:
  ProgramPlace() = default;
  ~ProgramPlace() { Begin(nullptr); }
  ProgramPlace(const ProgramPlace&) = delete;
  ProgramPlace& operator=(const ProgramPlace&) = delete;

  // Begin() starts in `directory` (which must outlive the run), with the process's umask. Null: the
  // process's.
  void Begin(const char* directory) noexcept;

  // Apply() makes the process's working directory and umask the program's; Withdraw() undoes it.
  // They nest. Apply() returns false with errno if the directory cannot be entered.
  bool Apply() noexcept;
  void Withdraw() noexcept;
  // For switches inside a call that runs the program's code (a callback of nftw(), say).
  void Suspend() noexcept;
  void Resume() noexcept;

  // Takes the directory that is applied now over as the program's own (chdir). False with errno.
  bool Adopt() noexcept;
  mode_t SetMask(mode_t mask) noexcept;
  [[nodiscard]] bool has_mask() const noexcept { return mask_ >= 0; }
  // False if the directory has gone during a switch: relative paths must not be used then.
  [[nodiscard]] bool in_place() const noexcept { return in_place_; }

 private:
  bool Enter() noexcept;
  void LeaveToProcess() noexcept;

  const char* directory_ = nullptr;
  int own_directory_ = -1;  // after a chdir()
  int mask_ = -1;           // after an umask()
  int depth_ = 0;
  bool in_place_ = false;
  mode_t process_mask_ = 0;
};

// PathScope applies the running program's place for the time of one call on `path`, if that is
// relative. Without a program it does nothing.
class PathScope {
 public:
  explicit PathScope(const char* path, const char* other = nullptr) noexcept;
  ~PathScope();
  PathScope(const PathScope&) = delete;
  PathScope& operator=(const PathScope&) = delete;
  // False: the working directory cannot be entered; errno is set. To be asked again after a yield.
  [[nodiscard]] bool ok() const noexcept {
    if (!ok_ || place_ == nullptr || place_->in_place()) return ok_;
    errno = ENOENT;
    return false;
  }

 private:
  ProgramPlace* place_ = nullptr;
  bool ok_ = true;
};

// KernelDirectory() is the kernel's number for a directory descriptor that the running program
// gives, or AT_FDCWD.
[[nodiscard]] int KernelDirectory(int fd) noexcept;

// OpenedByProgram() makes a descriptor that the running program, if any, has just opened its own.
// Returns its number there; -1 stays -1.
int OpenedByProgram(int fd) noexcept;

// FromHere() is what PathScope is to look at: only AT_FDCWD means the working directory.
[[nodiscard]] const char* FromHere(int directory, const char* path) noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_PATH_H_
