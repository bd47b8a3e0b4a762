#include "server/program/elf_symbols.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace cogi::server {
namespace {

bool Within(std::string_view bytes, uint64_t offset, uint64_t size) {
  return offset <= bytes.size() && size <= bytes.size() - offset;
}

// Table is an array of records in the file; it is empty if any of it lies outside.
template <class Record>
class Table {
 public:
  Table(std::string_view bytes, uint64_t offset, uint64_t size) {
    if (Within(bytes, offset, size)) bytes_ = bytes.substr(offset, size);
  }
  [[nodiscard]] size_t size() const { return bytes_.size() / sizeof(Record); }
  [[nodiscard]] Record operator[](size_t index) const {
    Record record;
    std::memcpy(&record, bytes_.data() + index * sizeof record, sizeof record);
    return record;
  }

 private:
  std::string_view bytes_;
};

// The string at `offset` of a string table, "" if it does not end there.
std::string_view StringAt(std::string_view strings, uint64_t offset) {
  if (offset >= strings.size()) return {};
  const size_t end = strings.find('\0', offset);
  return end == strings.npos ? std::string_view() : strings.substr(offset, end - offset);
}

std::optional<Elf64_Ehdr> Header(std::string_view bytes) {
  Elf64_Ehdr header;
  if (!Within(bytes, 0, sizeof header) || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
    return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_phentsize != sizeof(Elf64_Phdr) || header.e_shentsize != sizeof(Elf64_Shdr))
    return std::nullopt;
  return header;
}

ElfSymbol Describe(const Elf64_Sym& entry, std::string_view strings) {
  ElfSymbol symbol;
  symbol.name = StringAt(strings, entry.st_name);
  symbol.defined = entry.st_shndx != SHN_UNDEF;
  symbol.unique = ELF64_ST_BIND(entry.st_info) == STB_GNU_UNIQUE;
  symbol.object = ELF64_ST_TYPE(entry.st_info) == STT_OBJECT;
  symbol.address = entry.st_value;
  symbol.size = entry.st_size;
  return symbol;
}

}  // namespace

bool ElfSymbols::ReadSegments(std::string_view bytes) {
  const std::optional<Elf64_Ehdr> header = Header(bytes);
  if (!header.has_value()) return false;
  const Table<Elf64_Phdr> segments(bytes, header->e_phoff,
                                   uint64_t{header->e_phnum} * sizeof(Elf64_Phdr));
  Range relro{0, 0};
  for (size_t i = 0; i < segments.size(); ++i)
    if (segments[i].p_type == PT_GNU_RELRO)
      relro = {segments[i].p_vaddr, segments[i].p_vaddr + segments[i].p_memsz};
  for (size_t i = 0; i < segments.size(); ++i) {
    const Elf64_Phdr segment = segments[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) continue;
    Range range{segment.p_vaddr, segment.p_vaddr + segment.p_memsz};
    if (range.begin >= relro.begin && range.begin < relro.end)
      range.begin = std::min(relro.end, range.end);
    writable_bytes += range.end - range.begin;
    writable_.push_back(range);
  }
  return true;
}

std::optional<ElfSymbols> ElfSymbols::Read(std::string_view bytes) {
  ElfSymbols result;
  if (!result.ReadSegments(bytes)) return std::nullopt;
  const Elf64_Ehdr header = *Header(bytes);
  const Table<Elf64_Shdr> sections(bytes, header.e_shoff,
                                   uint64_t{header.e_shnum} * sizeof(Elf64_Shdr));
  for (size_t i = 0; i < sections.size(); ++i) {
    const Elf64_Shdr section = sections[i];
    if (section.sh_link >= sections.size()) continue;
    const Elf64_Shdr names = sections[section.sh_link];
    if (!Within(bytes, names.sh_offset, names.sh_size)) continue;
    const std::string_view strings = bytes.substr(names.sh_offset, names.sh_size);
    if (section.sh_type == SHT_DYNSYM) {
      const Table<Elf64_Sym> symbols(bytes, section.sh_offset, section.sh_size);
      for (size_t at = 1; at < symbols.size(); ++at)
        result.symbols.push_back(Describe(symbols[at], strings));
    } else if (section.sh_type == SHT_DYNAMIC) {
      const Table<Elf64_Dyn> entries(bytes, section.sh_offset, section.sh_size);
      for (size_t at = 0; at < entries.size() && entries[at].d_tag != DT_NULL; ++at) {
        const Elf64_Dyn entry = entries[at];
        if (entry.d_tag == DT_NEEDED)
          result.needed.push_back(StringAt(strings, entry.d_un.d_val));
        else if (entry.d_tag == DT_RUNPATH || entry.d_tag == DT_RPATH)
          result.run_path = StringAt(strings, entry.d_un.d_val);
      }
    }
  }
  return result;
}

std::vector<std::string_view> ElfSymbols::WritableObjects() const {
  std::vector<const ElfSymbol*> objects;
  for (const ElfSymbol& symbol : symbols) {
    if (!symbol.defined || !symbol.object) continue;
    for (const Range& range : writable_)
      if (symbol.address >= range.begin && symbol.address < range.end) objects.push_back(&symbol);
  }
  std::stable_sort(objects.begin(), objects.end(),
                   [](const ElfSymbol* a, const ElfSymbol* b) { return a->size > b->size; });
  std::vector<std::string_view> names;
  for (const ElfSymbol* object : objects) names.push_back(object->name);
  return names;
}

}  // namespace cogi::server
