#include "server/program/lint.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "coroutine/coroutine.h"
#include "server/program/elf_symbols.h"
#include "server/program/lint_rules.h"
#include "server/program/module.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// Less of a library than its own bookkeeping is not worth a line.
constexpr uint64_t kLeastData = 64;

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The libraries that every process of cogi has, whose state cogi keeps apart (libc, libstdc++) or
// that have none.
bool IsOfTheSystem(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "libc.so",  "libm.so",  "libgcc_s.so",   "libstdc++.so", "ld-linux",
      "libdl.so", "librt.so", "libpthread.so", "libcogi.so"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [name](std::string_view each) { return name.starts_with(each); });
}

// Does libcogi.so stand before this function? Where it does, the call is the request's own.
bool IsHooked(std::string_view symbol) {
  static const Dl_info ours = [] {
    Dl_info info{};
    dladdr(reinterpret_cast<void*>(&coroutine::Id), &info);
    return info;
  }();
  void* function = dlsym(RTLD_DEFAULT, std::string(symbol).c_str());
  Dl_info info{};
  return function != nullptr && dladdr(function, &info) != 0 && info.dli_fbase == ours.dli_fbase;
}

void Add(LintReport* report, std::string_view kind, std::string_view symbol, std::string_view what,
         std::string_view mend) {
  report->findings.push_back(
      {std::string(kind), std::string(symbol), std::string(what), std::string(mend)});
}

bool Imports(const ElfSymbols& file, std::string_view name) {
  return std::any_of(file.symbols.begin(), file.symbols.end(), [name](const ElfSymbol& symbol) {
    return !symbol.defined && symbol.name == name;
  });
}

void LintImports(const ElfSymbols& file, LintReport* report) {
  const bool forks = Imports(file, "fork") || Imports(file, "vfork");
  for (const ElfSymbol& symbol : file.symbols) {
    if (symbol.defined) continue;
    const LintRule* rule = FindRule(symbol.name);
    if (rule == nullptr || (rule->kind == "exec" && forks)) continue;
    // Interposing a call that starts a thread does not make the thread the request's.
    if (rule->kind != "thread" && IsHooked(symbol.name)) continue;
    Add(report, rule->kind, symbol.name, rule->what, rule->mend);
  }
}

void LintOwnSymbols(const ElfSymbols& file, LintReport* report) {
  size_t unique = 0;
  std::string_view first;
  for (const ElfSymbol& symbol : file.symbols) {
    if (symbol.defined && symbol.unique && unique++ == 0) first = symbol.name;
    if (symbol.name != "FCGX_Accept_r" && symbol.name != "FCGX_Accept" &&
        symbol.name != "FCGI_Accept")
      continue;
    if (!symbol.defined)
      report->accepts_fcgi = true;
    else if (symbol.name == "FCGX_Accept_r")
      Add(report, "libfcgi", symbol.name,
          "is part of the module: libfcgi, linked statically, would speak to the wire itself",
          "link with the shared library (-lfcgi)");
  }
  if (unique != 0)
    Add(report, "unique", first,
        Concat("and ", unique - 1, " more are one object for all modules of the process"),
        "compile its object with -fno-gnu-unique, as `cogi cc` does");
  if (file.run_path.find("$ORIGIN") != file.run_path.npos)
    Add(report, "path", file.run_path,
        "is where libraries are looked for, but a module is loaded from memory and has no folder",
        "use an absolute run path");
}

void LintLibrary(const std::string& path, const ElfSymbols& file, LintReport* report) {
  const std::string_view name = FileName(path);
  for (const std::string_view start : {"pthread_create", "thrd_create"})
    if (Imports(file, start))
      Add(report, "thread", Concat(name, ":", start),
          "the library can start threads, which are the worker's and outlive the request",
          "use no function of it that does, or run the program by exec");
  if (file.writable_bytes < kLeastData) return;
  std::string what =
      Concat(file.writable_bytes, " bytes of its static data are shared by all requests");
  const std::vector<std::string_view> objects = file.WritableObjects();
  for (size_t i = 0; i < std::min<size_t>(objects.size(), 3); ++i)
    what += Concat(i == 0 ? " (" : ", ", objects[i]);
  if (!objects.empty()) what += objects.size() > 3 ? ", ...)" : ")";
  Add(report, "library", name, what,
      "link it into the module (its .a) if it keeps anything there that belongs to one request");
}

// The paths of the libraries that `file` needs, and those need, as they were loaded.
std::vector<std::string> LibrariesOf(const ElfSymbols& file) {
  std::vector<std::string> wanted;
  for (const std::string_view name : file.needed) wanted.emplace_back(name);
  std::vector<std::string> paths;
  for (size_t i = 0; i < wanted.size(); ++i) {
    void* handle =
        IsOfTheSystem(wanted[i]) ? nullptr : dlopen(wanted[i].c_str(), RTLD_NOW | RTLD_NOLOAD);
    link_map* map = nullptr;
    if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) continue;
    paths.emplace_back(map->l_name);
    dlclose(handle);
    const std::string bytes = ReadWhole(paths.back());
    const std::optional<ElfSymbols> library = ElfSymbols::Read(bytes);
    if (!library.has_value()) continue;
    for (const std::string_view name : library->needed)
      if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) wanted.emplace_back(name);
  }
  return paths;
}

}  // namespace

bool LintModule(const std::string& path, LintReport* report, std::string* error) {
  const std::shared_ptr<Module> module = Module::Load(path, error);
  if (module == nullptr) return false;
  const std::string bytes = ReadWhole(path);
  const std::optional<ElfSymbols> file = ElfSymbols::Read(bytes);
  if (!file.has_value() || file->symbols.empty()) {
    *error = Concat(path,
                    " has no table of symbols; make it with `cogi cc`, and do not strip its "
                    "section headers");
    return false;
  }
  report->static_bytes = module->image().memory.size();
  LintImports(*file, report);
  LintOwnSymbols(*file, report);
  for (const std::string& library : LibrariesOf(*file)) {
    const std::string library_bytes = ReadWhole(library);
    if (const std::optional<ElfSymbols> symbols = ElfSymbols::Read(library_bytes))
      LintLibrary(library, *symbols, report);
  }
  return true;
}

}  // namespace cogi::server
