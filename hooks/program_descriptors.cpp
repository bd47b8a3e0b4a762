#include "hooks/program_descriptors.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "hooks/fd_table.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

void CloseKernel(int fd) noexcept {
  FdTable::Release(fd);
  real::close(fd);
}

int DupKernel(int fd) noexcept {
  const int copy = real::fcntl(fd, F_DUPFD_CLOEXEC, reinterpret_cast<void*>(3));
  if (copy >= 0) FdTable::Share(fd, copy);
  return copy;
}

}  // namespace

void ProgramDescriptors::Begin(VirtualFile* const standard[3]) noexcept {
  for (int fd = 0; fd < 3; ++fd) standard_[fd] = {-1, standard[fd]};
}

Descriptor ProgramDescriptors::ResolveVirtual(int fd) const noexcept {
  for (const Virtual& entry : virtual_)
    if (entry.number == fd) return {-1, entry.file};
  return {-1, nullptr};
}

void ProgramDescriptors::Opened(int fd) noexcept {
  if (fd < 0) return;
  const size_t word = static_cast<size_t>(fd) / 64;
  if (word >= owned_.size()) owned_.resize(word + 1);
  owned_[word] |= uint64_t{1} << (fd % 64);
}

void ProgramDescriptors::Closed(int fd) noexcept {
  if (!Owns(fd)) return;
  owned_[static_cast<size_t>(fd) / 64] &= ~(uint64_t{1} << (fd % 64));
}

int ProgramDescriptors::Dup2(int fd, int target) noexcept {
  const Descriptor source = Resolve(fd);
  if (source.file == nullptr && source.fd < 0) {
    errno = EBADF;
    return -1;
  }
  if (fd == target) return target;
  Descriptor copy = source;
  if (source.file == nullptr && (copy.fd = DupKernel(source.fd)) < 0) return -1;
  if (standard_[target].fd >= 0) CloseKernel(standard_[target].fd);
  standard_[target] = copy;
  return target;
}

int ProgramDescriptors::CloseStandard(int fd) noexcept {
  Descriptor& slot = standard_[fd];
  if (slot.file == nullptr && slot.fd < 0) {
    errno = EBADF;
    return -1;
  }
  if (slot.fd >= 0) CloseKernel(slot.fd);
  slot = {-1, nullptr};
  return 0;
}

int ProgramDescriptors::DupVirtual(int fd, int lowest) noexcept {
  const Descriptor source = Resolve(fd);
  if (source.file == nullptr) {
    errno = EBADF;
    return -1;
  }
  for (int standard = lowest < 0 ? 0 : lowest; standard < 3; ++standard) {
    if (standard_[standard].file != nullptr || standard_[standard].fd >= 0) continue;
    standard_[standard] = source;
    return standard;
  }
  // A descriptor of the process's stderr keeps the number; nothing reads or writes it.
  const int number = real::fcntl(
      2, F_DUPFD_CLOEXEC, reinterpret_cast<void*>(static_cast<intptr_t>(std::max(lowest, 3))));
  if (number >= 0) virtual_.push_back({number, source.file});
  return number;
}

bool ProgramDescriptors::CloseVirtual(int fd) noexcept {
  const auto found = std::find_if(virtual_.begin(), virtual_.end(),
                                  [&](const Virtual& entry) { return entry.number == fd; });
  if (found == virtual_.end()) return false;
  CloseKernel(found->number);
  virtual_.erase(found);
  return true;
}

void ProgramDescriptors::Forget(int fd) noexcept {
  Closed(fd);
  std::erase_if(virtual_, [&](const Virtual& entry) { return entry.number == fd; });
}

int ProgramDescriptors::Place(int fd) noexcept {
  for (int standard = 0; standard < 3; ++standard) {
    if (standard_[standard].file != nullptr || standard_[standard].fd >= 0) continue;
    Closed(fd);
    standard_[standard] = {fd, nullptr};
    return standard;
  }
  return fd;
}

void ProgramDescriptors::CloseAll() noexcept {
  for (Descriptor& slot : standard_) {
    if (slot.fd >= 0) CloseKernel(slot.fd);
    slot = {-1, nullptr};
  }
  for (const Virtual& entry : virtual_) CloseKernel(entry.number);
  virtual_.clear();
  for (size_t word = 0; word < owned_.size(); ++word) {
    for (; owned_[word] != 0; owned_[word] &= owned_[word] - 1)
      CloseKernel(static_cast<int>(word * 64) + std::countr_zero(owned_[word]));
  }
}

}  // namespace cogi::hooks
