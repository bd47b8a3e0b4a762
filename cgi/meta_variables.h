// MetaVariables: the CGI meta-variables of one request that are kept as text: all that a FastCGI or
// SCGI front end sent, or what routing set over those that the HTTP front end makes on demand.
// Views live until Clear().
#ifndef COGI_CGI_META_VARIABLES_H_
#define COGI_CGI_META_VARIABLES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cgi/arena.h"
#include "cgi/export.h"

namespace cogi::cgi {

class COGI_API MetaVariables {
 public:
  struct Entry {
    std::string_view name;
    std::string_view value;
    uint32_t hash;  // of the name
    bool set;       // false: taken away; hides what lies below
  };

  // Set() sets or replaces; Unset() takes away.
  void Set(std::string_view name, std::string_view value);
  void Unset(std::string_view name);
  // SetFromPeer() sets a variable that came over the network. What can be no environment variable
  // (an empty name, "=" or a control character in it, NUL in the value) and HTTP_PROXY
  // (CVE-2016-5385) is dropped: returns false. Copies name and value.
  bool SetFromPeer(std::string_view name, std::string_view value);

  // Find() is the entry of that name, or null.
  [[nodiscard]] const Entry* Find(std::string_view name) const;
  // Get() is the value if the variable is set.
  [[nodiscard]] std::optional<std::string_view> Get(std::string_view name) const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  // arena() keeps text as long as the variables live.
  [[nodiscard]] Arena& arena() { return arena_; }
  void Clear();

 private:
  [[nodiscard]] const Entry* Find(std::string_view name, uint32_t hash) const;
  Entry& Slot(std::string_view name);
  void Index(size_t entry);
  void Rebuild(size_t slots);

  Arena arena_;
  std::vector<Entry> entries_;
  // Open addressing: 1 + the place in entries_, or 0. A power of two, at least half of it free.
  std::vector<uint32_t> index_;
};

// IsSafeVariable() is false for what SetFromPeer() drops.
[[nodiscard]] COGI_API bool IsSafeVariable(std::string_view name, std::string_view value);

}  // namespace cogi::cgi

#endif  // COGI_CGI_META_VARIABLES_H_
