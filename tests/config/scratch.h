// Scratch: a temporary folder with the files that a configuration may name.
#ifndef COGI_TESTS_CONFIG_SCRATCH_H_
#define COGI_TESTS_CONFIG_SCRATCH_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "config/load.h"

namespace cogi::config {

class Scratch : public ::testing::Test {
 protected:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cogi-config-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    std::filesystem::create_directory(folder_ / "www");
    Put("app.cgi", "");
    Put("cert.pem", "");
    Put("key.pem", "");
  }
  ~Scratch() override { std::filesystem::remove_all(folder_); }

  void Put(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ / name) << text;
  }
  [[nodiscard]] std::string At(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] Settings ParseHere(std::string_view text) const {
    return Parse(text, At("cogi.json"));
  }

  std::filesystem::path folder_;
};

}  // namespace cogi::config

#endif  // COGI_TESTS_CONFIG_SCRATCH_H_
