// ElfSymbols: what a shared object imports and exports by name, and which libraries it needs, out
// of its file's section headers, with every offset checked against the file. Reads nothing but the
// bytes given, loads nothing. 64-bit, this CPU's byte order only.
#ifndef COGI_SERVER_PROGRAM_ELF_SYMBOLS_H_
#define COGI_SERVER_PROGRAM_ELF_SYMBOLS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cogi::server {

struct ElfSymbol {
  std::string_view name;
  bool defined = false;
  bool unique = false;  // STB_GNU_UNIQUE: one object for all modules of the process
  bool object = false;  // data, not code
  uint64_t address = 0;
  uint64_t size = 0;
};

// The views point into the bytes that were read.
struct ElfSymbols {
  std::vector<ElfSymbol> symbols;
  std::vector<std::string_view> needed;  // DT_NEEDED
  std::string_view run_path;             // DT_RUNPATH or DT_RPATH
  uint64_t writable_bytes = 0;           // of writable segments, what RELRO covers apart

  // Read() reads the dynamic symbols of the object in `bytes`, a whole file. Null if the file is no
  // ELF object or is damaged.
  [[nodiscard]] static std::optional<ElfSymbols> Read(std::string_view bytes);

  // WritableObjects() are the names of its exported data in writable memory, largest first.
  [[nodiscard]] std::vector<std::string_view> WritableObjects() const;

 private:
  struct Range {
    uint64_t begin, end;
  };
  bool ReadSegments(std::string_view bytes);
  std::vector<Range> writable_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_ELF_SYMBOLS_H_
