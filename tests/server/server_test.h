// ServerTest: a test with a server of a configuration of its own, ended by TERM and exit code 0.
#ifndef COGI_TESTS_SERVER_SERVER_TEST_H_
#define COGI_TESTS_SERVER_SERVER_TEST_H_

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {

class ServerTest : public testing::Test {
 protected:
  // Start() serves the configuration `text`, in the test's folder, with so many workers in all.
  void Start(const std::string& text, size_t workers = 1) {
    StartWith({"serve", "--allow-root", folder_.Write("cogi.json", text)}, workers);
  }
  void StartWith(const std::vector<std::string>& arguments, size_t workers = 1) {
    server_ = std::make_unique<ServerProcess>(arguments);
    ASSERT_TRUE(server_->WaitServing(workers)) << server_->output();
  }
  void TearDown() override {
    if (server_) {
      EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output();
    }
  }
  [[nodiscard]] int port() const { return server_->port(); }
  [[nodiscard]] Answer Get(const std::string& path, const std::string& fields = "") const {
    return Ask(port(), path, "GET", fields);
  }
  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
};

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_SERVER_TEST_H_
