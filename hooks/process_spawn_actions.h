// What posix_spawn(3) is told of a program's child beside what the program says itself.
#ifndef COGI_HOOKS_PROCESS_SPAWN_ACTIONS_H_
#define COGI_HOOKS_PROCESS_SPAWN_ACTIONS_H_

#include <spawn.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace cogi::hooks {

// FileActions is a copy of a caller's actions with others before them: what libc keeps there is
// known only as an array of entries of one size, which is measured.
class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() {
    free(joined_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;

  posix_spawn_file_actions_t* Get() { return &actions_; }

  // Join() returns these actions followed by `more`. Null without memory.
  const posix_spawn_file_actions_t* Join(const posix_spawn_file_actions_t* more) {
    if (more == nullptr || more->__used == 0) return &actions_;
    static const size_t size = EntrySize();
    if (size == 0) return nullptr;
    const auto first = static_cast<size_t>(actions_.__used),
               second = static_cast<size_t>(more->__used);
    joined_ = static_cast<char*>(malloc((first + second) * size));
    if (joined_ == nullptr) return nullptr;
    memcpy(joined_, actions_.__actions, first * size);
    memcpy(joined_ + first * size, more->__actions, second * size);
    view_ = actions_;
    view_.__actions = reinterpret_cast<__spawn_action*>(joined_);
    view_.__used = view_.__allocated = static_cast<int>(first + second);
    return &view_;
  }

 private:
  // The distance between two entries, told by the arguments of two known ones. 0: it cannot be
  // told.
  static size_t EntrySize() {
    posix_spawn_file_actions_t probe;
    posix_spawn_file_actions_init(&probe);
    size_t size = 0;
    if (posix_spawn_file_actions_adddup2(&probe, 101, 103) == 0 &&
        posix_spawn_file_actions_adddup2(&probe, 107, 109) == 0) {
      const auto* words = reinterpret_cast<const int*>(probe.__actions);
      const size_t first = IndexOf(words, 101, 103), second = IndexOf(words, 107, 109);
      if (first < second && second < kSearched) size = (second - first) * sizeof(int);
    }
    posix_spawn_file_actions_destroy(&probe);
    return size;
  }
  static constexpr size_t kSearched = 40;  // words; two entries of up to 80 bytes
  static size_t IndexOf(const int* words, int one, int other) {
    size_t i = 0;
    while (i < kSearched && !(words[i] == one && words[i + 1] == other)) ++i;
    return i;
  }

  posix_spawn_file_actions_t actions_;
  posix_spawn_file_actions_t view_{};
  char* joined_ = nullptr;
};

// OwnGroup is the attributes of a program's child: the caller's (or null), and a process group of
// its own unless they say another: what it sends to its group must not reach the server.
class OwnGroup {
 public:
  explicit OwnGroup(const posix_spawnattr_t* given) {
    if (given != nullptr)
      attributes_ = *given;
    else
      posix_spawnattr_init(&attributes_);
    short flags = 0;
    posix_spawnattr_getflags(&attributes_, &flags);
    if ((flags & (POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSID)) != 0) return;
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, static_cast<short>(flags | POSIX_SPAWN_SETPGROUP));
  }
  [[nodiscard]] const posix_spawnattr_t* Get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;  // holds nothing: libc's init and destroy only write to it
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROCESS_SPAWN_ACTIONS_H_
