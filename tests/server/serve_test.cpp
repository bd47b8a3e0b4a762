// `cogi serve DIRECTORY`: what a newcomer gets.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class ServeDirectory : public testing::Test {
 protected:
  ServeDirectory() {
    folder_.Write("www/index.html", "<p>welcome</p>");
    folder_.Write("www/a b.txt", "0123456789");
    folder_.Write("www/empty.css", "");
    folder_.Write("www/dir/index.html", "in dir");
    folder_.Write("www/bare/file.txt", "x");
    folder_.Write("www/.secret", "s");
    folder_.Write("www/source.cgi", "#!/bin/sh\necho source\n");
    folder_.Write("www/script.cgi", "#!/bin/sh\necho source\n");
    folder_.Write("outside.txt", "outside");
    std::filesystem::create_symlink("../outside.txt", folder_ / "www/leak");
    chmod((folder_ / "www/script.cgi").c_str(), 0755);
    server_ = std::make_unique<ServerProcess>(std::vector<std::string>{
        "serve", folder_ / "www", "--listen", "http:127.0.0.1:0", "--workers", "1"});
    EXPECT_TRUE(server_->WaitServing()) << server_->output();
  }
  void TearDown() override { EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output(); }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(ServeDirectory, AnswersFilesWithTypesLengthsAndValidators) {
  Client client(server_->port());
  const Answer index = client.Ask("/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.body, "<p>welcome</p>");
  EXPECT_EQ(index.Field("Content-Type"), "text/html; charset=utf-8");
  const Answer text = client.Ask("/a%20b.txt");
  EXPECT_EQ(text.body, "0123456789");
  EXPECT_EQ(text.Field("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(client.Ask("/a%20b.txt", "GET", "If-None-Match: " + text.Field("ETag") + "\r\n").status,
            304);
  EXPECT_EQ(
      client.Ask("/a%20b.txt", "GET", "If-Modified-Since: " + text.Field("Last-Modified") + "\r\n")
          .status,
      304);
  const Answer part = client.Ask("/a%20b.txt", "GET", "Range: bytes=3-5\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "345");
  EXPECT_EQ(part.Field("Content-Range"), "bytes 3-5/10");
  const Answer beyond = client.Ask("/a%20b.txt", "GET", "Range: bytes=10-\r\n");
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.Field("Content-Range"), "bytes */10");
  const Answer head = client.Ask("/a%20b.txt", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Field("Content-Length"), "10");
  EXPECT_EQ(client.Ask("/empty.css").status, 200);
}

TEST_F(ServeDirectory, AnswersWhatIsNotThereOrNotForYou) {
  Client client(server_->port());
  const struct {
    const char* path;
    int status;
  } cases[] = {
      {"/missing", 404},     {"/.secret", 404}, {"/leak", 403},        {"/bare/", 403},
      {"/a%20b.txt/x", 404}, {"/bare/x", 404},  {"/missing.cgi", 404}, {"/source.cgi", 403},
      {"/script.cgi", 502},  {"/dir/.", 200},
  };
  for (const auto& [path, status] : cases) {
    const Answer answer = client.Ask(path);
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_EQ(answer.body.find("source"), std::string::npos) << path;
    EXPECT_EQ(answer.body.find(folder_.path()), std::string::npos) << path;
  }
}

TEST_F(ServeDirectory, ADirectoryIsRedirectedToItsNameWithASlash) {
  Client client(server_->port());
  const Answer answer = client.Ask("/dir?x=1");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.Field("Location"), "/dir/?x=1");
  EXPECT_EQ(client.Ask("/dir/").body, "in dir");
}

TEST_F(ServeDirectory, OnlyGetAndHeadAreForFiles) {
  const Answer answer = Ask(server_->port(), "/", "POST", "", "data");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.Field("Allow"), "GET, HEAD");
}

TEST_F(ServeDirectory, ABigFileArrivesWhole) {
  std::string big(5 << 20, '\0');
  for (size_t at = 0; at < big.size(); ++at) big[at] = static_cast<char>(at * 2654435761u >> 13);
  folder_.Write("www/big.bin", big);
  Client client(server_->port());
  EXPECT_EQ(client.Ask("/big.bin").body, big);
  EXPECT_EQ(client.Ask("/big.bin", "GET", "Range: bytes=1000000-3000000\r\n").body,
            big.substr(1000000, 2000001));
}

TEST_F(ServeDirectory, EveryErrorPageNamesTheRequestOfTheAccessLog) {
  const Answer answer = Ask(server_->port(), "/missing");
  const size_t at = answer.body.find("Request ");
  ASSERT_NE(at, std::string::npos);
  const std::string id = answer.body.substr(at + 8, answer.body.find('<', at) - at - 8);
  EXPECT_TRUE(server_->WaitOutput(" " + id + "\n")) << server_->output();
}

}  // namespace
}  // namespace cogi::server
