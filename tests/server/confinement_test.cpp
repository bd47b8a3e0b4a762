// What workers give up before they serve: the user root, new privileges, the file system outside of
// their root directory, system calls.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class Confinement : public ServerTest {
 protected:
  // Serves the handler that tries to escape, `more` being further keys of the configuration.
  void Serve(const std::string& more, const std::string& module = TEST_HANDLERS) {
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"}, )" + more +
          R"("routes": [{"path": "/", "native": {"module": ")" + module +
          R"(", "handler": "escape"}}]})");
  }
  // The errno of one of its tries.
  static int TryOf(const std::string& body, const std::string& name) {
    const size_t at = (";" + body).find(";" + name + "=");
    return at == std::string::npos ? -1 : std::stoi(body.substr(at + name.size() + 1));
  }
  // A line of the worker's status, without its name.
  [[nodiscard]] std::string StatusOf(const std::string& name) const {
    const std::string status =
        ReadFile("/proc/" + std::to_string(server_->workers().front()) + "/status");
    const size_t at = status.find("\n" + name + ":\t");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 3;
    return status.substr(begin, status.find('\n', begin) - begin);
  }
};

TEST_F(Confinement, TheFilterDeniesWhatItSaysAndNothingElse) {
  struct Case {
    const char* filter;
    int administration, clone3, exec;  // the errno of each
  };
  for (const Case& test : {Case{"off", 0, EINVAL, ENOENT}, Case{"basic", EPERM, ENOSYS, ENOENT},
                           Case{"no-exec", EPERM, ENOSYS, EPERM}}) {
    SCOPED_TRACE(test.filter);
    Serve(std::string(R"("confine": {"seccomp": ")") + test.filter + "\"}, ");
    const std::string body = Get("/").body;
    EXPECT_EQ(TryOf(body, "passwd"), 0) << body;
    EXPECT_EQ(TryOf(body, "exec"), test.exec) << body;
    EXPECT_EQ(TryOf(body, "clone3"), test.clone3) << body;
    if (test.administration != 0) {
      for (const char* name : {"trace", "memory", "unshare", "new_user", "bpf", "ring"})
        EXPECT_EQ(TryOf(body, name), EPERM) << name << body;
      EXPECT_EQ(StatusOf("Seccomp"), "2");
    } else {
      EXPECT_NE(TryOf(body, "trace"), EPERM) << body;
      EXPECT_EQ(TryOf(body, "memory"), 0) << body;
      EXPECT_EQ(TryOf(body, "unshare"), 0) << body;
    }
    EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output();
    server_.reset();
  }
}

TEST_F(Confinement, ProgramsAndThreadsRunUnderTheFilter) {
  folder_.Write("www/a.txt", "a file");
  folder_.Write("www/script.cgi", "#!/bin/sh\necho Content-Type: text/plain\necho\necho script\n");
  chmod((folder_ / "www/script.cgi").c_str(), 0755);
  folder_.Write("users", "ada:" + OutputOf("openssl passwd -5 secret"));
  Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "confine": {"seccomp": "basic"},
            "routes": [{"path": "/", "site": "www"},
                       {"path": "/own", "native": "hello", "auth": {"users": "users"}}]})");
  EXPECT_EQ(Get("/a.txt").body, "a file");
  EXPECT_EQ(Get("/script.cgi").body, "script\n");
  // A password is checked on a helper thread; this is ada:secret.
  EXPECT_EQ(Get("/own", "Authorization: Basic YWRhOnNlY3JldA==\r\n").body, "hello\n");
}

TEST_F(Confinement, NoNewPrivilegesUnlessTheConfigurationWantsThem) {
  Serve("");
  EXPECT_EQ(StatusOf("NoNewPrivs"), "1");
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
  Serve(R"("confine": {"no_new_privileges": false}, )");
  EXPECT_EQ(StatusOf("NoNewPrivs"), "0");
}

TEST_F(Confinement, NothingOfRootIsLeft) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can show it";
  Serve(R"("user": "nobody", )");
  EXPECT_EQ(StatusOf("Uid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(StatusOf("Gid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(StatusOf("Groups"), "65534 ");
  for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb"})
    EXPECT_EQ(StatusOf(set), "0000000000000000") << set;
}

TEST_F(Confinement, TheLogsOfADroppedUserAreOpenedAnewWhoeverOwnsTheirFolder) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can show it";
  chmod(folder_.path().c_str(), 0755);
  for (const uid_t owner : {0, 65534}) {
    SCOPED_TRACE(owner);
    std::filesystem::remove_all(folder_ / "logs");
    std::filesystem::create_directory(folder_ / "logs");
    ASSERT_EQ(chown((folder_ / "logs").c_str(), owner, owner), 0);
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "user": "nobody",
              "log": {"access": "logs/access"}, "routes": [{"path": "/", "native": "hello"}]})");
    std::filesystem::rename(folder_ / "logs/access", folder_ / "logs/access.1");
    server_->Signal(SIGUSR1);
    EXPECT_TRUE(WaitUntil([&] {
      return Get("/again").status == 200 && Has(ReadFile(folder_ / "logs/access"), "/again");
    })) << server_->output();
    struct stat status {};
    ASSERT_EQ(stat((folder_ / "logs/access").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 65534u);
    EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output();
    server_.reset();
  }
}

TEST_F(Confinement, AChrootIsAllThatAWorkerSees) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can show it";
  folder_.Write("jail/www/a.txt", "inside");
  std::filesystem::create_directory(folder_ / "jail/tmp");
  chmod((folder_ / "jail/tmp").c_str(), 01777);
  std::filesystem::copy_file(TEST_HANDLERS, folder_ / "jail/handlers.so");
  std::filesystem::create_symlink("/etc/passwd", folder_ / "jail/www/leak");
  chown((folder_ / "jail").c_str(), 65534, 65534);
  Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "user": "nobody",
            "confine": {"chroot": "jail", "seccomp": "no-exec"},
            "log": {"access": "jail/access.log"},
            "routes": [{"path": "/", "static": "jail/www"},
                       {"path": "/escape", "native":
                        {"module": "jail/handlers.so", "handler": "escape"}},
                       {"path": "/late", "native":
                        {"module": "jail/handlers.so", "handler": "late_reader"}}]})");
  const std::string process = "/proc/" + std::to_string(server_->workers().front());
  EXPECT_EQ(std::filesystem::read_symlink(process + "/root"), folder_ / "jail");
  EXPECT_EQ(std::filesystem::read_symlink(process + "/cwd"), folder_ / "jail");
  EXPECT_EQ(Get("/a.txt").body, "inside");
  EXPECT_EQ(Get("/leak").status, 403);
  EXPECT_EQ(TryOf(Get("/escape").body, "passwd"), ENOENT);
  // A body that nobody has read before the head leaves spools to a file: there is a /tmp.
  const std::string body(1 << 20, 'x');
  EXPECT_EQ(Ask(port(), "/late", "POST", "", body).body, std::to_string(body.size()));
  // The log lies inside, and is opened anew there.
  EXPECT_TRUE(WaitUntil([&] { return Has(ReadFile(folder_ / "jail/access.log"), "/a.txt"); }));
  std::filesystem::rename(folder_ / "jail/access.log", folder_ / "jail/access.log.1");
  server_->Signal(SIGUSR1);
  EXPECT_TRUE(WaitUntil([&] {
    return Get("/a.txt?again").status == 200 && Has(ReadFile(folder_ / "jail/access.log"), "again");
  })) << server_->output();
  // A reload confines the new workers as well.
  const pid_t before = server_->workers().front();
  server_->Signal(SIGHUP);
  ASSERT_TRUE(WaitUntil([&] {
    const auto now = server_->workers();
    return now.size() == 1 && now.front() != before;
  }));
  EXPECT_EQ(Get("/a.txt").body, "inside");
}

TEST_F(Confinement, WhatCannotBeGivenUpKeepsTheServerFromStarting) {
  if (geteuid() == 0) GTEST_SKIP() << "root can";
  const std::string config =
      folder_.Write("cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "user": "nobody",
                       "routes": [{"path": "/", "native": "hello"}]})");
  std::string output;
  EXPECT_EQ(RunCogi({"serve", config}, &output), 1);
  EXPECT_TRUE(Has(output, "only root can run workers as the user \"nobody\"")) << output;
}

}  // namespace
}  // namespace cogi::server
