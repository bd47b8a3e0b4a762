// The table of hooks/README.md is the table of calls.def.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "hooks/calls.h"

namespace cogi::hooks {
namespace {

constexpr char kBegin[] = "<!-- table -->\n", kEnd[] = "<!-- end of table -->\n";

std::string OtherNames(Call call) {
  std::string names;
  for (const AliasInfo* alias = Aliases(); alias->alias != nullptr; ++alias) {
    if (alias->call == call) names += std::string(", `") + alias->alias + "`";
  }
  return names;
}

std::string Table() {
  std::string table = "| call | family | inside a coroutine |\n|---|---|---|\n";
  for (size_t i = 0; i < static_cast<size_t>(Call::kCount); ++i) {
    const auto call = static_cast<Call>(i);
    const CallInfo& info = InfoOf(call);
    table += std::string("| `") + info.name + "`" + OtherNames(call) + " | " + info.family + " | " +
             info.rule + " |\n";
  }
  return table;
}

TEST(Table, OfTheReadmeIsThatOfTheCode) {
  const std::string path = std::string(COGI_SOURCE_DIR) + "/hooks/README.md";
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  std::string text = content.str();
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t start = begin + sizeof kBegin - 1;
  if (getenv("COGI_UPDATE") != nullptr) {
    text.replace(start, end - start, Table());
    std::ofstream(path) << text;
    return;
  }
  EXPECT_EQ(text.substr(start, end - start), Table()) << "COGI_UPDATE=1 writes it";
}

}  // namespace
}  // namespace cogi::hooks
