#include "server/program/elf_file.h"

#include <cstring>

namespace cogi::server {
namespace {

// Within() tells whether [offset, offset + size) lies in `bytes`.
bool Within(std::string_view bytes, uint64_t offset, uint64_t size) {
  return offset <= bytes.size() && size <= bytes.size() - offset;
}

template <class Value>
Value At(std::string_view bytes, uint64_t offset) {
  Value value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

uint64_t AlignedTo4(uint64_t size) { return (size + 3) & ~uint64_t{3}; }

}  // namespace

std::optional<ElfFile> ElfFile::Parse(std::string_view bytes, std::string* error) {
  if (!Within(bytes, 0, sizeof(Elf64_Ehdr)) || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
    *error = "is no ELF file";
    return std::nullopt;
  }
  const auto header = At<Elf64_Ehdr>(bytes, 0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    *error = "is made for another machine";
    return std::nullopt;
  }
  if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr)) {
    *error = "is no shared object";
    return std::nullopt;
  }
  if (!Within(bytes, header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr))) {
    *error = "has program headers outside of the file";
    return std::nullopt;
  }
  ElfFile file;
  for (unsigned i = 0; i < header.e_phnum; ++i)
    file.segments_.push_back(At<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr)));
  file.FindNote(bytes);
  return file;
}

void ElfFile::FindNote(std::string_view bytes) {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_NOTE || !Within(bytes, segment.p_offset, segment.p_filesz)) continue;
    std::string_view notes = bytes.substr(segment.p_offset, segment.p_filesz);
    while (Within(notes, 0, sizeof(Elf64_Nhdr))) {
      const auto note = At<Elf64_Nhdr>(notes, 0);
      const uint64_t name = sizeof note;
      const uint64_t value = name + AlignedTo4(note.n_namesz);
      const uint64_t end = value + AlignedTo4(note.n_descsz);
      if (!Within(notes, 0, end)) break;
      if (note.n_type == kNoteType && note.n_namesz == sizeof kNoteName &&
          note.n_descsz >= sizeof(uint32_t) &&
          std::memcmp(notes.data() + name, kNoteName, sizeof kNoteName) == 0)
        note_version_ = At<uint32_t>(notes, value);
      notes.remove_prefix(end);
    }
  }
}

const Elf64_Phdr* ElfFile::Segment(uint32_t type) const {
  for (const Elf64_Phdr& segment : segments_)
    if (segment.p_type == type) return &segment;
  return nullptr;
}

bool ElfFile::HideInitializers(std::string& bytes) const {
  const Elf64_Phdr* dynamic = Segment(PT_DYNAMIC);
  if (dynamic == nullptr || !Within(bytes, dynamic->p_offset, dynamic->p_filesz)) return false;
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic->p_filesz; at += sizeof(Elf64_Dyn)) {
    char* place = bytes.data() + dynamic->p_offset + at;
    auto entry = At<Elf64_Dyn>(bytes, dynamic->p_offset + at);
    switch (entry.d_tag) {
      case DT_INIT:
      case DT_FINI:
      case DT_INIT_ARRAY:
      case DT_INIT_ARRAYSZ:
      case DT_FINI_ARRAY:
      case DT_FINI_ARRAYSZ:
        entry.d_tag = HiddenTag(entry.d_tag);
        std::memcpy(place, &entry, sizeof entry);
        break;
      case DT_NULL:
        return true;
      default:
        break;
    }
  }
  return true;
}

}  // namespace cogi::server
