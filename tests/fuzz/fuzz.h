// What the fuzz targets share. A target aborts when a promise is broken; sanitizers do the rest.
#ifndef COGI_TESTS_FUZZ_FUZZ_H_
#define COGI_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace cogi::fuzz {

// Promise() ends the process with `text` if `kept` is false.
inline void Promise(bool kept, const char* text) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", text);
  std::abort();
}

// Input() is the fuzzer's bytes as text. The first byte, if there is one, says where to split them.
inline std::string_view Input(const uint8_t* data, size_t size, size_t& split) {
  split = 0;
  if (size == 0) return {};
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  split = bytes.empty() ? 0 : data[0] % (bytes.size() + 1);
  return bytes;
}

}  // namespace cogi::fuzz

#endif  // COGI_TESTS_FUZZ_FUZZ_H_
