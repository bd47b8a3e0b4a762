// ElfFile: the parts of a module's file that matter here, with every offset checked against the
// file. Reads nothing but the bytes given. 64-bit, this CPU's byte order and machine only.
#ifndef COGI_SERVER_PROGRAM_ELF_FILE_H_
#define COGI_SERVER_PROGRAM_ELF_FILE_H_

#include <elf.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cogi::server {

// The note that `cogi cc` puts into a module.
inline constexpr char kNoteName[] = "cogi";
inline constexpr uint32_t kNoteType = 1;
inline constexpr uint32_t kNoteVersion = 1;

class ElfFile {
 public:
  // Parse() reads the headers out of `bytes`, the whole file or its beginning. Null if they are not
  // those of a shared object for this machine; `*error` says why, as a sentence without the path.
  [[nodiscard]] static std::optional<ElfFile> Parse(std::string_view bytes, std::string* error);

  // note_version() is the version in cogi's note; 0: there is no such note within the bytes.
  [[nodiscard]] uint32_t note_version() const { return note_version_; }
  [[nodiscard]] std::span<const Elf64_Phdr> segments() const { return segments_; }
  // The first segment of `type`, or null.
  [[nodiscard]] const Elf64_Phdr* Segment(uint32_t type) const;

  // HideInitializers() renames the tags of the dynamic section that name constructors and
  // destructors, in `bytes`, which must be the whole file. False if the section lies outside the
  // file.
  [[nodiscard]] bool HideInitializers(std::string& bytes) const;

  // What hidden entries are called: a tag in the range of the operating system's own that no loader
  // knows.
  static constexpr Elf64_Sxword kHidden = 0x60c06100;
  [[nodiscard]] static Elf64_Sxword HiddenTag(Elf64_Sxword tag) { return kHidden + tag; }

 private:
  void FindNote(std::string_view bytes);

  std::vector<Elf64_Phdr> segments_;
  uint32_t note_version_ = 0;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_ELF_FILE_H_
