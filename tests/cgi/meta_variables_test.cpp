#include "cgi/meta_variables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cogi::cgi {
namespace {

// The rule of SetFromPeer() for a name, a byte at a time.
bool IsNameAsSaid(std::string_view name) {
  return !name.empty() && name != "HTTP_PROXY" && std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<uint8_t>(c) > 0x20 && c != '=' && c != 0x7f;
  });
}

// In names of all lengths around that of a machine word, at each place, beside its neighbours.
TEST(MetaVariables, DropsNamesWithABarredByteWhereverItStands) {
  for (size_t size = 0; size <= 26; ++size) {
    std::string name(size, 'A');
    EXPECT_EQ(IsSafeVariable(name, ""), size > 0) << size;
    for (char& at : name) {
      for (int byte = 0; byte < 256; ++byte) {
        at = static_cast<char>(byte);
        EXPECT_EQ(IsSafeVariable(name, "value"), IsNameAsSaid(name)) << size << " " << byte;
      }
      at = 'A';
    }
  }
}

TEST(MetaVariables, DropsHttpProxyAndValuesWithANul) {
  MetaVariables variables;
  EXPECT_FALSE(variables.SetFromPeer("HTTP_PROXY", "evil"));
  EXPECT_FALSE(variables.SetFromPeer("NAME", std::string_view("a\0b", 3)));
  EXPECT_TRUE(variables.entries().empty());
  EXPECT_TRUE(variables.SetFromPeer("HTTP_PROXY_", "a=b \n"));
  EXPECT_EQ(variables.Get("HTTP_PROXY_"), "a=b \n");
}

TEST(MetaVariables, FindsEachOfThousandsInTheOrderTheyCame) {
  MetaVariables variables;
  const auto name = [](size_t i) { return "HTTP_X_" + std::to_string(i) + "_OF_THEM"; };
  for (size_t round = 0; round < 3; ++round) {
    const size_t count = round == 1 ? 3 : 5000;
    EXPECT_EQ(variables.Find("A"), nullptr);
    for (size_t i = 0; i < count; ++i) variables.Set(name(i), std::to_string(i));
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(variables.Get(name(i)), std::to_string(i));
      ASSERT_EQ(variables.entries()[i].name, name(i));
    }
    EXPECT_EQ(variables.Find(name(count)), nullptr);
    EXPECT_EQ(variables.entries().size(), count);
    variables.Clear();
    EXPECT_EQ(variables.Find(name(0)), nullptr);
  }
}

TEST(MetaVariables, OneThatIsSetAgainStaysInItsPlaceAndOneTakenAwayHides) {
  MetaVariables variables;
  for (const char* name : {"A", "AB", "PATH_INFO", "B"}) variables.Set(name, "1");
  variables.Set("AB", "2");
  variables.Unset("PATH_INFO");
  variables.Unset("NEVER_SET");
  EXPECT_EQ(variables.entries().size(), 5);
  EXPECT_EQ(variables.entries()[1].value, "2");
  EXPECT_EQ(variables.Get("PATH_INFO"), std::nullopt);
  ASSERT_NE(variables.Find("NEVER_SET"), nullptr);
  EXPECT_EQ(variables.Get("NEVER_SET"), std::nullopt);
  variables.Set("PATH_INFO", "");
  EXPECT_EQ(variables.Get("PATH_INFO"), "");
  EXPECT_EQ(variables.Get("A"), "1");
}

}  // namespace
}  // namespace cogi::cgi
