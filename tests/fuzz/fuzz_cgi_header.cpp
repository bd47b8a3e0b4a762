// The header of a program's output: whatever it is, it has one meaning however it is split, and
// what is passed on is lawful.
#include <string>

#include "cgi/cgi_header_parser.h"
#include "cgi/http_syntax.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

std::string Meaning(std::string_view first, std::string_view second) {
  cgi::CgiHeaderParser parser;
  size_t used = parser.Push(first);
  if (parser.state() == cgi::CgiHeaderParser::State::kMore) used += parser.Push(second);
  parser.Finish();
  if (parser.state() == cgi::CgiHeaderParser::State::kBad) return parser.error();
  Promise(parser.status() >= 200 && parser.status() <= 599, "the status is in range");
  std::string meaning = std::to_string(used) + " " + std::to_string(parser.status()) + " " +
                        std::string(parser.reason()) + " " + std::string(parser.location());
  for (size_t i = 0; i < parser.fields().size(); ++i) {
    cgi::FieldView field = parser.fields()[i];
    Promise(cgi::IsToken(field.name) && cgi::IsFieldValue(field.value), "fields are lawful");
    meaning.append("\n").append(field.name).append(":").append(field.value);
  }
  return meaning;
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  size_t split = 0;
  std::string_view bytes = Input(data, size, split);
  Promise(Meaning(bytes, {}) == Meaning(bytes.substr(0, split), bytes.substr(split)),
          "a split does not change the meaning");
  return 0;
}
