// Module: one version of a program's file, loaded. The file is copied into memory first, under a
// name of its own, so that a changed file is a new module and an overwritten one harms nobody; in
// the copy the entries of the dynamic section that make dlopen() run constructors are renamed, so
// that the static data can be taken as it is before them.
#ifndef COGI_SERVER_PROGRAM_MODULE_H_
#define COGI_SERVER_PROGRAM_MODULE_H_

#include <sys/stat.h>

#include <memory>
#include <string>

#include "hooks/program_image.h"

namespace cogi::server {

class ElfFile;

// FileVersion tells versions of a file apart.
struct FileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  timespec modified{};

  FileVersion() = default;
  explicit FileVersion(const struct stat& info)
      : device(info.st_dev), inode(info.st_ino), size(info.st_size), modified(info.st_mtim) {}
  bool operator==(const FileVersion& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           modified.tv_sec == other.modified.tv_sec && modified.tv_nsec == other.modified.tv_nsec;
  }
};

class Module {
 public:
  // Load() loads the file at `path`. Null with `*error` (path, cause, mend). Constructors of
  // libraries that the module brings along run now, once, as the server's, and block the thread
  // where they wait. May yield: the file may have to come from the disk. A cancel does not end it,
  // for others wait for the same module.
  [[nodiscard]] static std::shared_ptr<Module> Load(const std::string& path, std::string* error);
  // Unloads it. No program may be running in it.
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  [[nodiscard]] hooks::ProgramImage& image() { return image_; }
  [[nodiscard]] const FileVersion& version() const { return version_; }

 private:
  Module() = default;
  bool Open(const std::string& path, std::string bytes, std::string* error);
  void Describe(const ElfFile& file);

  hooks::ProgramImage image_;
  FileVersion version_;
  void* handle_ = nullptr;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_MODULE_H_
