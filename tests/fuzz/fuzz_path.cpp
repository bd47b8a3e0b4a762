// Paths, targets and hosts: a path that was accepted is absolute, has no dot and no empty segment,
// and is its own normal form.
#include <string>

#include "cgi/http_target.h"
#include "cgi/path_normalizer.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

void CheckNormal(std::string_view raw, bool decode) {
  std::string out(raw.size(), '?');
  size_t size = 0;
  if (cgi::NormalizePath(raw, out.data(), size, decode) != cgi::PathError::kNone) return;
  Promise(size <= raw.size() && size > 0, "the normal form is not longer");
  out.resize(size);
  Promise(out.front() == '/', "a path begins with a slash");
  Promise(out.find('\0') == std::string::npos, "a path has no NUL");
  std::string closed = out + "/";
  for (const char* bad : {"//", "/./", "/../"}) {
    bool ends_in_slash = out.size() > 1 && out.back() == '/';
    Promise((ends_in_slash || out == "/" ? out : closed).find(bad) == std::string::npos,
            "a path has no dot and no empty segment");
  }
  std::string again(out.size(), '?');
  size_t again_size = 0;
  cgi::PathError error = cgi::NormalizePath(out, again.data(), again_size, false);
  if (error == cgi::PathError::kBadCharacter) return;  // control characters that were encoded
  Promise(error == cgi::PathError::kNone && again.substr(0, again_size) == out,
          "a normal path is its own normal form");
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckNormal(text, true);
  CheckNormal(text, false);
  std::string out(size, '?');
  size_t length = 0;
  if (cogi::cgi::IsNormalPath(text)) {
    Promise(cogi::cgi::NormalizePath(text, out.data(), length) == cogi::cgi::PathError::kNone &&
                out.substr(0, length) == text,
            "the fast test for normal paths agrees with the normaliser");
  }
  cogi::cgi::HttpTarget target;
  if (cogi::cgi::ParseTarget(text, target) == nullptr && !target.authority.empty()) {
    Promise(cogi::cgi::IsHostAndPort(target.authority), "an authority is a lawful host");
    Promise(cogi::cgi::HostOf(target.authority).size() <= target.authority.size(),
            "and has a host");
  }
  return 0;
}
