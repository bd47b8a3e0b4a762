// The heads of the PROXY protocol and of SCGI: what is read of a part is what is read of the whole.
#include <string>

#include "cgi/proxy_protocol.h"
#include "cgi/scgi_header.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

void CheckProxy(std::string_view bytes, size_t split) {
  cgi::ProxyHeader part_header, header;
  size_t part_size = 0, size = 0;
  cgi::ProxyResult part = cgi::ParseProxyHeader(bytes.substr(0, split), part_header, part_size);
  cgi::ProxyResult whole = cgi::ParseProxyHeader(bytes, header, size);
  if (part != cgi::ProxyResult::kMore) Promise(part == whole, "the verdict stands");
  if (part != cgi::ProxyResult::kDone) return;
  Promise(part_size == size && size <= split, "the size stands");
  Promise(part_header.source_address == header.source_address, "the address stands");
  Promise(header.has_addresses == !header.source_address.empty(), "addresses are there or not");
}

void CheckScgi(std::string_view bytes, size_t split) {
  cgi::Limits limits;
  limits.params_bytes = 500;
  limits.params_pairs = 10;
  cgi::MetaVariables part_variables, variables;
  cgi::ScgiHeader part = cgi::ParseScgiHeader(bytes.substr(0, split), limits, part_variables);
  cgi::ScgiHeader whole = cgi::ParseScgiHeader(bytes, limits, variables);
  if (part.result != cgi::ScgiHeader::Result::kMore) {
    Promise(part.result == whole.result, "the verdict stands");
  }
  if (whole.result != cgi::ScgiHeader::Result::kDone) return;
  Promise(whole.size <= bytes.size(), "the head is no longer than what there is");
  Promise(variables.Get("SCGI") == "1" && variables.Get("CONTENT_LENGTH").has_value(),
          "what must be there is there");
  Promise(!variables.Get("HTTP_PROXY"), "HTTP_PROXY is never set");
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  size_t split = 0;
  std::string_view bytes = Input(data, size, split);
  CheckProxy(bytes, split);
  CheckScgi(bytes, split);
  return 0;
}
