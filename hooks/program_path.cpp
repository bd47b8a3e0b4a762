#include "hooks/program_path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "hooks/program.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// System calls, past the functions of these names below.
int ChangeTo(const char* path) { return static_cast<int>(::syscall(SYS_chdir, path)); }
int ChangeTo(int fd) { return static_cast<int>(::syscall(SYS_fchdir, fd)); }

// The process's own working directory, as it was when it was first left. A server does not change
// it.
const std::string& ProcessDirectory() {
  static const std::string directory = [] {
    char path[PATH_MAX];
    return std::string(::syscall(SYS_getcwd, path, sizeof path) > 0 ? path : "/");
  }();
  return directory;
}

}  // namespace

void ProgramPlace::Begin(const char* directory) noexcept {
  if (depth_ > 0) LeaveToProcess();
  depth_ = 0;
  if (own_directory_ >= 0) real::close(own_directory_);
  own_directory_ = -1;
  directory_ = directory;
  mask_ = -1;
}

bool ProgramPlace::Enter() noexcept {
  ProcessDirectory();
  if (mask_ >= 0) process_mask_ = static_cast<mode_t>(::syscall(SYS_umask, mask_));
  if (own_directory_ >= 0) return ChangeTo(own_directory_) == 0;
  return directory_ == nullptr || ChangeTo(directory_) == 0;
}

void ProgramPlace::LeaveToProcess() noexcept {
  const int error = errno;
  if (mask_ >= 0) ::syscall(SYS_umask, process_mask_);
  if ((own_directory_ >= 0 || directory_ != nullptr) && ChangeTo(ProcessDirectory().c_str()) != 0)
    ChangeTo("/");  // its directory was removed
  errno = error;
}

bool ProgramPlace::Apply() noexcept {
  if (depth_ > 0) {
    ++depth_;
    return true;
  }
  if (!Enter()) {
    LeaveToProcess();
    return false;
  }
  depth_ = 1;
  return in_place_ = true;
}

void ProgramPlace::Withdraw() noexcept {
  if (--depth_ == 0) LeaveToProcess();
}

void ProgramPlace::Suspend() noexcept {
  if (depth_ > 0) LeaveToProcess();
}

void ProgramPlace::Resume() noexcept {
  if (depth_ > 0) in_place_ = Enter();
}

bool ProgramPlace::Adopt() noexcept {
  const int fd =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd < 0) return false;
  if (own_directory_ >= 0) real::close(own_directory_);
  own_directory_ = fd;
  return true;
}

mode_t ProgramPlace::SetMask(mode_t mask) noexcept {
  mode_t old = static_cast<mode_t>(mask_);
  if (mask_ < 0) {
    old = static_cast<mode_t>(::syscall(SYS_umask, 0));
    ::syscall(SYS_umask, old);
  }
  mask_ = static_cast<int>(mask & 0777);
  return old;
}

PathScope::PathScope(const char* path, const char* other) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return;
  const auto relative = [](const char* each) { return each != nullptr && *each != '/'; };
  if (!relative(path) && !relative(other) && !program->place().has_mask()) return;
  if (program->place().Apply())
    place_ = &program->place();
  else
    ok_ = false;
}

PathScope::~PathScope() {
  if (place_ != nullptr) place_->Withdraw();
}

int KernelDirectory(int fd) noexcept {
  Program* program = Program::Current();
  return program == nullptr || fd == AT_FDCWD ? fd : program->Resolve(fd).fd;
}

int OpenedByProgram(int fd) noexcept {
  Program* program = Program::Current();
  if (program == nullptr || fd < 0) return fd;
  program->Opened(fd);
  return program->Place(fd);
}

const char* FromHere(int directory, const char* path) noexcept {
  return directory == AT_FDCWD ? path : "/";
}

namespace {

constinit real::RealCall<int(const char*)> real_chdir{"chdir"};
constinit real::RealCall<int(int)> real_fchdir{"fchdir"};
constinit real::RealCall<mode_t(mode_t)> real_umask{"umask"};
constinit real::RealCall<char*(char*, size_t)> real_getcwd{"getcwd"};
constinit real::RealCall<char*(char*, size_t, size_t)> real_getcwd_chk{"__getcwd_chk"};
constinit real::RealCall<char*()> real_get_current_dir_name{"get_current_dir_name"};

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int chdir(const char* path) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_chdir(path);
  PathScope scope("");
  return scope.ok() && real_chdir(path) == 0 && program->place().Adopt() ? 0 : -1;
}

COGI_API int fchdir(int fd) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_fchdir(fd);
  PathScope scope("");
  return scope.ok() && real_fchdir(program->Resolve(fd).fd) == 0 && program->place().Adopt() ? 0
                                                                                             : -1;
}

COGI_API mode_t umask(mode_t mask) noexcept {
  if (Program* program = Program::Current()) return program->place().SetMask(mask);
  return real_umask(mask);
}

COGI_API char* getcwd(char* buffer, size_t size) noexcept {
  PathScope scope("");
  char* path = scope.ok() ? real_getcwd(buffer, size) : nullptr;
  if (buffer == nullptr) AdoptBlock(path, __builtin_return_address(0));
  return path;
}

COGI_API char* __getcwd_chk(char* buffer, size_t size, size_t room) noexcept {
  PathScope scope("");
  return scope.ok() ? real_getcwd_chk(buffer, size, room) : nullptr;
}

// It trusts $PWD if that names the working directory, which needs the program's environment in
// place: it is.
COGI_API char* get_current_dir_name() noexcept {
  PathScope scope("");
  char* path = scope.ok() ? real_get_current_dir_name() : nullptr;
  AdoptBlock(path, __builtin_return_address(0));
  return path;
}

}  // extern "C"
