#include "server/program/module.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "coroutine/coroutine.h"
#include "hooks/program_state.h"
#include "server/program/elf_file.h"
#include "server/program/program_handler.h"
#include "server/text.h"

extern "C" void* __tls_get_addr(void* module_and_offset);

namespace cogi::server {
namespace {

constexpr size_t kHeadSize = 4096;  // program headers and notes stand at the beginning
constexpr off_t kMaxFileSize = off_t{1} << 30;

// A descriptor that the hooks know of: they close it, however the function is left.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  const int fd_;
};

// For dlopen(): constructors of libraries that waited would let other coroutines meet the dynamic
// linker, which takes them for the same thread, in the middle of its work.
class HooksOff {
 public:
  HooksOff() : self_(coroutine::Current()) {
    if (self_ == nullptr) return;
    before_ = coroutine::HooksEnabled(*self_);
    coroutine::EnableHooks(*self_, false);
  }
  ~HooksOff() {
    if (self_ != nullptr) coroutine::EnableHooks(*self_, before_);
  }
  HooksOff(const HooksOff&) = delete;
  HooksOff& operator=(const HooksOff&) = delete;

 private:
  coroutine::Coroutine* self_;
  bool before_ = false;
};

// ReadFile() reads up to `limit` bytes. False with errno.
bool ReadFile(int fd, size_t limit, std::string* bytes) {
  bytes->resize(limit);
  size_t done = 0;
  while (done < limit) {
    const ssize_t got = ::pread(fd, bytes->data() + done, limit - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes->resize(done);
  return true;
}

bool WriteFile(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// A name for the open file `fd` that was never used before: the dynamic linker takes two equal
// names for one object, and descriptor numbers come back. The number of the load is written in
// slashes ("/" and "/./" are digits).
std::string UniqueName(int fd) {
  static uint64_t loads = 0;
  std::string name = "/proc/self/fd/";
  for (uint64_t digits = ++loads; digits != 0; digits /= 2) name += digits % 2 != 0 ? "./" : "/";
  Append(name, fd);
  return name;
}

uintptr_t PageDown(uintptr_t address) {
  return address & ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
}

// The entries of a loaded module's dynamic section, with the hidden ones under their old names.
Elf64_Addr Dynamic(const link_map* map, Elf64_Sxword tag) {
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry)
    if (entry->d_tag == ElfFile::HiddenTag(tag)) return entry->d_un.d_val;
  return 0;
}

template <class Function>
std::span<const Function> FunctionArray(const link_map* map, Elf64_Sxword array,
                                        Elf64_Sxword size) {
  const Elf64_Addr offset = Dynamic(map, array);
  if (offset == 0) return {};
  return {reinterpret_cast<const Function*>(map->l_addr + offset),
          Dynamic(map, size) / sizeof(Function)};
}

template <class Function>
Function FunctionAt(const link_map* map, Elf64_Sxword tag) {
  const Elf64_Addr offset = Dynamic(map, tag);
  return offset == 0 ? nullptr : reinterpret_cast<Function>(map->l_addr + offset);
}

// For each library that the module names: `visit(name)`.
template <class Visit>
void ForEachNeeded(const link_map* map, Visit visit) {
  const char* strings = nullptr;
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry)
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL && strings != nullptr; ++entry)
    if (entry->d_tag == DT_NEEDED) visit(strings + entry->d_un.d_val);
}

// How many symbols stand before the first one that the module defines, or, without a GNU hash
// table, how many there are.
size_t UndefinedSymbols(const link_map* map) {
  size_t count = 0;
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    const auto* words = reinterpret_cast<const uint32_t*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_GNU_HASH) return words[1];
    if (entry->d_tag == DT_HASH) count = words[1];
  }
  return count;
}

// Calls() tells whether the module calls one of `names`, which it leaves to a library.
bool Calls(const link_map* map, std::initializer_list<std::string_view> names) {
  const char* strings = nullptr;
  const Elf64_Sym* symbols = nullptr;
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const Elf64_Sym*>(entry->d_un.d_ptr);
  }
  if (strings == nullptr || symbols == nullptr) return false;
  for (const Elf64_Sym& symbol : std::span(symbols, UndefinedSymbols(map))) {
    const std::string_view name = strings + symbol.st_name;
    if (symbol.st_shndx == SHN_UNDEF && std::find(names.begin(), names.end(), name) != names.end())
      return true;
  }
  return false;
}

bool StartsThreads(const link_map* map) {
  return Calls(map,
               {"pthread_create", "thrd_create",
                "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_"
                "EEPFvvE"});
}

// The libraries that the module needs, and those need; libstdc++ apart, which starts one when a
// program asks for it.
bool LibrariesStartThreads(const link_map* module) {
  std::vector<const link_map*> seen{module};
  for (size_t i = 0; i < seen.size(); ++i) {
    if (i > 0 && StartsThreads(seen[i])) return true;
    ForEachNeeded(seen[i], [&seen](std::string_view name) {
      if (name.starts_with("libstdc++.so") || name.starts_with("libc.so")) return;
      link_map* map = nullptr;
      void* library = dlopen(std::string(name).c_str(), RTLD_NOW | RTLD_NOLOAD);
      if (library == nullptr) return;
      if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 &&
          std::find(seen.begin(), seen.end(), map) == seen.end())
        seen.push_back(map);
      dlclose(library);  // the module holds it
    });
  }
  return false;
}

// The memory of which each program has its own contents: writable segments without what the dynamic
// linker has made read-only after relocation, and the thread-local block of this thread.
std::vector<hooks::MemorySpan> PrivateMemory(const ElfFile& file, const link_map* map,
                                             void* handle) {
  uintptr_t relro_begin = 0;
  uintptr_t relro_end = 0;
  if (const Elf64_Phdr* relro = file.Segment(PT_GNU_RELRO)) {
    relro_begin = PageDown(map->l_addr + relro->p_vaddr);
    relro_end = PageDown(map->l_addr + relro->p_vaddr + relro->p_memsz);
  }
  std::vector<hooks::MemorySpan> spans;
  for (const Elf64_Phdr& segment : file.segments()) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) continue;
    uintptr_t begin = map->l_addr + segment.p_vaddr;
    const uintptr_t end = begin + segment.p_memsz;
    if (begin >= relro_begin && begin < relro_end) begin = std::min(relro_end, end);
    if (begin < end) spans.push_back({reinterpret_cast<char*>(begin), end - begin, true});
  }
  if (const Elf64_Phdr* tls = file.Segment(PT_TLS)) {
    size_t index[2] = {0, 0};  // module and offset, as the psABI's tls_index
    dlinfo(handle, RTLD_DI_TLS_MODID, &index[0]);
    spans.push_back({static_cast<char*>(__tls_get_addr(index)), tls->p_memsz});
  }
  return spans;
}

}  // namespace

bool IsProgramModule(const std::string& path, bool* could_read) {
  const coroutine::ShieldScope shield;
  const File head(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string bytes;
  std::string error;
  const bool read = head.open() && ReadFile(head.fd(), kHeadSize, &bytes);
  if (could_read != nullptr) *could_read = read;
  if (!read) return false;
  const std::optional<ElfFile> file = ElfFile::Parse(bytes, &error);
  return file.has_value() && file->note_version() != 0;
}

std::shared_ptr<Module> Module::Load(const std::string& path, std::string* error) {
  const coroutine::ShieldScope shield;
  const File whole(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  std::string bytes;
  if (!whole.open() || ::fstat(whole.fd(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size > kMaxFileSize ||
      !ReadFile(whole.fd(), static_cast<size_t>(info.st_size), &bytes)) {
    const int cause = whole.open() && !S_ISREG(info.st_mode) ? EISDIR : errno;
    *error = Concat("cannot read the program ", path, ": ", ErrnoText(cause));
    return nullptr;
  }
  std::shared_ptr<Module> module(new Module);
  module->version_ = FileVersion(info);
  if (!module->Open(path, std::move(bytes), error)) return nullptr;
  return module;
}

bool Module::Open(const std::string& path, std::string bytes, std::string* error) {
  std::string cause;
  const std::optional<ElfFile> file = ElfFile::Parse(bytes, &cause);
  if (!file.has_value() || file->note_version() != kNoteVersion || !file->HideInitializers(bytes)) {
    if (cause.empty()) cause = "was not made by this version of `cogi cc`";
    *error = Concat("cannot load the program ", path, ": it ", cause, "; make it with `cogi cc`");
    return false;
  }
  {
    const File copy(::memfd_create(std::string(FileName(path)).c_str(), MFD_CLOEXEC));
    if (!copy.open() || !WriteFile(copy.fd(), bytes)) {
      *error = Concat("cannot load the program ", path, ": no memory file: ", ErrnoText(errno));
      return false;
    }
    const HooksOff off;
    handle_ = dlopen(UniqueName(copy.fd()).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (handle_ == nullptr) {
    *error = Concat("cannot load the program ", path, ": ", dlerror());
    return false;
  }
  auto* main = static_cast<hooks::ProgramImage::Main*>(dlsym(handle_, "cogi_program_main"));
  if (main == nullptr) {
    *error = Concat("cannot load the program ", path, ": it has no main(); make it with `cogi cc`");
    return false;
  }
  image_.main = *main;
  Describe(*file);
  return true;
}

void Module::Describe(const ElfFile& file) {
  link_map* map = nullptr;
  dlinfo(handle_, RTLD_DI_LINKMAP, &map);
  image_.init = FunctionAt<hooks::ProgramImage::Initializer>(map, DT_INIT);
  image_.fini = FunctionAt<hooks::ProgramImage::Finalizer>(map, DT_FINI);
  image_.init_array =
      FunctionArray<hooks::ProgramImage::Initializer>(map, DT_INIT_ARRAY, DT_INIT_ARRAYSZ);
  image_.fini_array =
      FunctionArray<hooks::ProgramImage::Finalizer>(map, DT_FINI_ARRAY, DT_FINI_ARRAYSZ);
  uintptr_t end = 0;
  for (const Elf64_Phdr& segment : file.segments())
    if (segment.p_type == PT_LOAD) end = std::max(end, segment.p_vaddr + segment.p_memsz);
  image_.addresses = {map->l_addr, map->l_addr + end};
  image_.memory.Take(PrivateMemory(file, map, handle_));
  image_.uses_libfcgi = Calls(map, {"FCGX_Accept_r", "FCGX_Accept", "FCGI_Accept"});
  image_.uses_threads = StartsThreads(map);
  image_.libraries_use_threads = LibrariesStartThreads(map);
  if (image_.uses_libfcgi)
    image_.fcgi_stdio = static_cast<hooks::FcgiStdio*>(dlsym(handle_, "_fcgi_sF"));
  ForEachNeeded(map, [this](const char* name) {
    if (std::string_view(name).starts_with("libstdc++.so")) image_.uses_libstdcxx = true;
    // Libraries stay when the module goes: their threads, exit handlers and the like would not
    // survive it.
    if (void* library = dlopen(name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE)) dlclose(library);
  });
}

Module::~Module() {
  if (handle_ != nullptr) dlclose(handle_);
}

}  // namespace cogi::server
