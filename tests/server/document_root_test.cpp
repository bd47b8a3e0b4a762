#include "server/document_root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "server/site.h"
#include "tests/server/scratch.h"

namespace cogi::server {
namespace {

class DocumentRootTest : public testing::Test {
 protected:
  DocumentRootTest() {
    folder_.Write("secret.txt", "outside");
    folder_.Write("root/a.txt", "a");
    folder_.Write("root/dir/b.txt", "b");
    folder_.Write("root/.hidden", "h");
    folder_.Write("root/.git/config", "g");
    folder_.Write("root/.well-known/token", "w");
    folder_.Write("root/.well-known/.hidden", "h");
    folder_.Write("root/dir/.well-known/token", "w");
    folder_.Write("root/app.cgi", "program");
    folder_.Write("root/cgi-bin/tool", "program");
    folder_.Write("root/cgi-bin/deep/other.py", "program");
    std::filesystem::create_symlink("a.txt", folder_ / "root/inside");
    std::filesystem::create_symlink("../secret.txt", folder_ / "root/outside");
    std::filesystem::create_symlink("/etc/passwd", folder_ / "root/absolute");
    std::filesystem::create_directory_symlink("..", folder_ / "root/up");
  }

  Scratch folder_;
};

TEST_F(DocumentRootTest, OpensWhatLiesBelowAndNothingElse) {
  const DocumentRoot root(folder_ / "root");
  const struct {
    const char* path;
    int error;
  } cases[] = {
      {"a.txt", 0},
      {"dir/b.txt", 0},
      {"inside", 0},
      {"", 0},
      {"outside", EXDEV},
      {"absolute", EXDEV},
      {"up/secret.txt", EXDEV},
      {".hidden", ENOENT},
      {".git/config", ENOENT},
      {"dir/../.hidden", ENOENT},
      {".well-known/token", 0},
      {".well-known", 0},
      {".well-known/.hidden", ENOENT},
      {".well-known2/token", ENOENT},
      {".well-known/../.hidden", ENOENT},
      {"dir/.well-known/token", ENOENT},
      {"../secret.txt", ENOENT},
      {"a.txt/x", ENOTDIR},
      {"missing", ENOENT},
  };
  for (const auto& [path, error] : cases) EXPECT_EQ(root.Open(path).error, error) << path;
}

TEST_F(DocumentRootTest, ANulInAPathIsNoFile) {
  const DocumentRoot root(folder_ / "root");
  EXPECT_EQ(root.Open(std::string_view("a.txt\0.html", 11)).error, ENOENT);
}

TEST_F(DocumentRootTest, AFifoDoesNotBlock) {
  ASSERT_EQ(mkfifo((folder_ / "root/fifo").c_str(), 0600), 0);
  const OpenedFile file = DocumentRoot(folder_ / "root").Open("fifo");
  ASSERT_EQ(file.error, 0);
  EXPECT_TRUE(S_ISFIFO(file.status.st_mode));
}

TEST_F(DocumentRootTest, AMissingRootIsSaidAtEachFile) {
  const DocumentRoot root(folder_ / "nowhere");
  EXPECT_FALSE(root.usable());
  EXPECT_EQ(root.Open("a.txt").error, ENOENT);
}

TEST_F(DocumentRootTest, ProgramsAreKnownByNameAndPlace) {
  const DocumentRoot root(folder_ / "root");
  using Kind = FoundProgram::Kind;
  const struct {
    const char* path;
    Kind kind;
    const char *script, *path_info;
  } cases[] = {
      {"a.txt", Kind::kNone, "", ""},
      {"app.cgi", Kind::kProgram, "app.cgi", ""},
      {"app.cgi/", Kind::kProgram, "app.cgi", "/"},
      {"app.cgi/x/y.cgi", Kind::kProgram, "app.cgi", "/x/y.cgi"},
      {"cgi-bin/tool/extra", Kind::kProgram, "cgi-bin/tool", "/extra"},
      {"cgi-bin/deep/other.py", Kind::kProgram, "cgi-bin/deep/other.py", ""},
      {"cgi-bin", Kind::kForbidden, "", ""},
      {"cgi-bin/", Kind::kForbidden, "", ""},
      {"cgi-bin/deep", Kind::kForbidden, "", ""},
      {"missing.cgi", Kind::kMissing, "", ""},
      {"cgi-bin/missing/x", Kind::kMissing, "", ""},
  };
  for (const auto& [path, kind, script, path_info] : cases) {
    const FoundProgram found = FindProgram(root, path, false);
    EXPECT_EQ(found.kind, kind) << path;
    EXPECT_EQ(found.script, script) << path;
    EXPECT_EQ(found.path_info, path_info) << path;
  }
}

}  // namespace
}  // namespace cogi::server
