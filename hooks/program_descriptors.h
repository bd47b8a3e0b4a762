// ProgramDescriptors: what descriptor numbers mean to a program. 0 to 2 are its own: a virtual
// file, or a kernel descriptor that dup2() put there. Above them are the kernel's numbers, of which
// it may use those that it opened.
#ifndef COGI_HOOKS_PROGRAM_DESCRIPTORS_H_
#define COGI_HOOKS_PROGRAM_DESCRIPTORS_H_

#include <cstdint>
#include <vector>

#include "hooks/program_state.h"

namespace cogi::hooks {

// Belongs to one thread. Never yields; sets errno where it returns -1.
class ProgramDescriptors {
 public:
  // Begin() starts with three standard files (null: closed) and nothing else.
  void Begin(VirtualFile* const standard[3]) noexcept;

  [[nodiscard]] Descriptor Resolve(int fd) const noexcept {
    if (static_cast<unsigned>(fd) < 3) return standard_[fd];
    if (Owns(fd)) return {fd, nullptr};
    return ResolveVirtual(fd);
  }

  [[nodiscard]] bool Owns(int fd) const noexcept {
    const auto word = static_cast<size_t>(static_cast<unsigned>(fd)) / 64;
    return fd >= 0 && word < owned_.size() && (owned_[word] >> (fd % 64) & 1) != 0;
  }

  // As those of ProgramState.
  void Opened(int fd) noexcept;
  void Closed(int fd) noexcept;
  int Dup2(int fd, int target) noexcept;
  int CloseStandard(int fd) noexcept;
  int DupVirtual(int fd, int lowest) noexcept;
  bool CloseVirtual(int fd) noexcept;
  int Place(int fd) noexcept;
  // Forget() drops a number above 2 from the record without closing anything.
  void Forget(int fd) noexcept;

  // CloseAll() closes every kernel descriptor of the program. Call it where CurrentProgram() is
  // null.
  void CloseAll() noexcept;

 private:
  struct Virtual {
    int number;  // a kernel descriptor that only keeps the number taken
    VirtualFile* file;
  };
  [[nodiscard]] Descriptor ResolveVirtual(int fd) const noexcept;

  Descriptor standard_[3] = {{-1, nullptr}, {-1, nullptr}, {-1, nullptr}};
  std::vector<uint64_t> owned_;   // a bit per kernel descriptor
  std::vector<Virtual> virtual_;  // duplicates of virtual files above 2
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_DESCRIPTORS_H_
