#include "config/load.h"

#include <sched.h>

#include <algorithm>

#include "tests/config/scratch.h"

namespace cogi::config {
namespace {

using LoadTest = Scratch;

TEST_F(LoadTest, TheSmallestFileGetsEveryDefault) {
  const Settings settings = ParseHere(R"({"routes": [{"site": "www"}]})");
  ASSERT_EQ(settings.pools.size(), 1u);
  const Pool& pool = settings.pools.at("main");
  ASSERT_EQ(pool.listen.size(), 1u);
  EXPECT_EQ(FormatListener(pool.listen[0]), "http:127.0.0.1:8080");
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_EQ(pool.workers, static_cast<uint32_t>(CPU_COUNT(&set)));
  ASSERT_EQ(pool.routes.size(), 1u);
  EXPECT_EQ(pool.routes[0].form, Form::kSite);
  EXPECT_EQ(pool.routes[0].file, At("www"));
  EXPECT_EQ(pool.routes[0].limits.body, 16 * kMiB);
  EXPECT_EQ(pool.routes[0].timeouts.handler, seconds(60));
  EXPECT_EQ(settings.drain, seconds(30));
}

TEST_F(LoadTest, AnApplicationIsAnAddressOrAListOfThem) {
  const Settings settings = ParseHere(R"({"routes": [
      {"path": "/a", "fastcgi": "unix:run/php.sock"},
      {"path": "/b", "fastcgi": ["127.0.0.1:9000", "[::1]:9001"], "root": "www"},
      {"path": "/c", "fastcgi": {"servers": ["127.0.0.1:9"], "keep": 4, "connections": 20,
                                 "idle": 5}, "root": "www", "index": "main.php"}]})");
  const std::vector<Route>& routes = settings.pools.at("main").routes;
  EXPECT_EQ(routes[0].form, Form::kUpstream);
  ASSERT_EQ(routes[0].upstream.servers.size(), 1u);
  EXPECT_EQ(routes[0].upstream.servers[0].unix_path, At("run/php.sock"));
  EXPECT_EQ(routes[0].upstream.keep, 0u);
  EXPECT_EQ(routes[0].root, "");
  ASSERT_EQ(routes[1].upstream.servers.size(), 2u);
  EXPECT_EQ(routes[1].upstream.servers[1].host, "::1");
  EXPECT_EQ(routes[1].upstream.servers[1].port, 9001);
  EXPECT_EQ(routes[1].root, At("www"));
  EXPECT_EQ(routes[1].index, "index.php");
  EXPECT_EQ(routes[2].upstream.keep, 4u);
  EXPECT_EQ(routes[2].upstream.connections, 20u);
  EXPECT_EQ(routes[2].upstream.idle, seconds(5));
  EXPECT_EQ(routes[2].index, "main.php");
  EXPECT_NE(RouteTable(settings).find("127.0.0.1:9000, [::1]:9001"), std::string::npos);
}

TEST_F(LoadTest, AnApplicationMayBeSpawned) {
  const Settings settings = ParseHere(R"({"routes": [{"path": "/a", "fastcgi": {
      "spawn": ["app.cgi", "-x"], "min": 1, "max": 3, "requests": 500, "idle": "2m",
      "directory": "www", "environment": {"A": "b"}}}]})");
  const Upstream& upstream = settings.pools.at("main").routes[0].upstream;
  EXPECT_EQ(upstream.command, (std::vector<std::string>{At("app.cgi"), "-x"}));
  EXPECT_EQ(upstream.min_processes, 1u);
  EXPECT_EQ(upstream.max_processes, 3u);
  EXPECT_EQ(upstream.requests, 500u);
  EXPECT_EQ(upstream.idle, seconds(120));
  EXPECT_EQ(upstream.directory, At("www"));
  EXPECT_EQ(upstream.environment.at("A"), "b");
  EXPECT_NE(RouteTable(settings).find(At("app.cgi") + " -x"), std::string::npos);
}

TEST_F(LoadTest, EveryKeyArrives) {
  const Settings settings = ParseHere(R"({
    "pid_file": "run/cogi.pid", "drain": "45s",
    "restart": {"min": "200ms", "max": 20}, "stall": {"log": 2, "restart": 0},
    "workers": 3, "user": "root", "group": "root",
    "coroutine": {"stack": "private", "stack_size": "128k", "shared_stacks": 4, "max": 5000,
                  "offload_files": false},
    "timeouts": {"header": 1, "body": 2, "send": 3, "keep_alive": 0, "tls_handshake": 5,
                 "handler": "6s", "queue": 0.5, "connect": "750ms", "total": "2m"},
    "status": "http:unix:run/status.sock",
    "confine": {"no_new_privileges": true, "seccomp": "basic"},
    "limits": {"request_line": "4k", "header_block": "16k", "headers": 50,
               "fastcgi_params": "32k", "fastcgi_pairs": 128, "body": "1m", "body_memory": "8k",
               "body_rate": 0, "keep_alive_requests": 7, "connections": 9,
               "connections_per_address": 8,
               "redirects": 3, "concurrency": 11, "queue": 13, "output": "2m", "heap": "3m",
               "exec_memory": "4m", "exec_cpu": "1500ms", "exec_files": 17,
               "exec_file_size": "5m"},
    "log": {"access": "logs/access.log", "error": "stdout", "format": "json", "level": "debug"},
    "listen": ["scgi:[::1]:4000", {"address": "fastcgi:unix:run/c.sock", "mode": "0600",
                                   "owner": "root", "group": "root", "backlog": 64},
               {"address": "http:0.0.0.0:8080", "allow": ["10.0.0.0/8", "::1"]}],
    "self_check": ["/ping?a=b", {"path": "/x/", "host": "b.example:81", "status": 204}],
    "routes": [{"path": "/app", "program": "app.cgi", "environment": {"MODE": "test"},
                "limits": {"body": 5, "body_rate": 6}, "coroutine": {"stack": "shared"},
                "timeouts": {"handler": 1, "body": 7, "send": 8}},
               {"exact": "/ping", "native": "ping"},
               {"host": "WWW.example.org", "suffix": ".php", "exec": "app.cgi"},
               {"path": "/api/", "exec": "www"},
               {"path": "/x/", "native": {"module": "app.cgi", "handler": "x"}},
               {"path": "/s/", "static": "www", "index": ""}]})");
  EXPECT_EQ(settings.pid_file, At("run/cogi.pid"));
  EXPECT_EQ(settings.drain, seconds(45));
  EXPECT_EQ(settings.restart_min, milliseconds(200));
  EXPECT_EQ(settings.restart_max, seconds(20));
  EXPECT_EQ(settings.stall_log, seconds(2));
  EXPECT_EQ(settings.stall_restart, seconds(0));

  const Pool& pool = settings.pools.at("main");
  EXPECT_EQ(pool.workers, 3u);
  EXPECT_EQ(pool.user + pool.group, "rootroot");
  EXPECT_EQ(pool.coroutine.stack, StackMode::kPrivate);
  EXPECT_EQ(pool.coroutine.stack_size, 128 * kKiB);
  EXPECT_EQ(pool.coroutine.shared_stacks, 4u);
  EXPECT_EQ(pool.coroutine.max, 5000u);
  EXPECT_FALSE(pool.coroutine.offload_files);
  const Timeouts& timeouts = pool.timeouts;
  EXPECT_EQ(timeouts.header, seconds(1));
  EXPECT_EQ(timeouts.body, seconds(2));
  EXPECT_EQ(timeouts.send, seconds(3));
  EXPECT_EQ(timeouts.keep_alive, seconds(0));
  EXPECT_EQ(timeouts.tls_handshake, seconds(5));
  EXPECT_EQ(timeouts.handler, seconds(6));
  EXPECT_EQ(timeouts.queue, milliseconds(500));
  EXPECT_EQ(timeouts.connect, milliseconds(750));
  EXPECT_EQ(timeouts.total, seconds(120));
  EXPECT_EQ(pool.confine.seccomp, Confinement::Seccomp::kBasic);
  EXPECT_EQ(settings.pools.at("status").listen.at(0).unix_path, At("run/status.sock"));
  EXPECT_EQ(settings.pools.at("status").workers, 1u);
  const Limits& limits = pool.limits;
  EXPECT_EQ(limits.request_line, 4 * kKiB);
  EXPECT_EQ(limits.header_block, 16 * kKiB);
  EXPECT_EQ(limits.headers, 50u);
  EXPECT_EQ(limits.fastcgi_params, 32 * kKiB);
  EXPECT_EQ(limits.fastcgi_pairs, 128u);
  EXPECT_EQ(limits.body, kMiB);
  EXPECT_EQ(limits.body_memory, 8 * kKiB);
  EXPECT_EQ(limits.body_rate, 0u);
  EXPECT_EQ(limits.keep_alive_requests, 7u);
  EXPECT_EQ(limits.connections, 9u);
  EXPECT_EQ(limits.connections_per_address, 8u);
  EXPECT_EQ(limits.redirects, 3u);
  EXPECT_EQ(limits.concurrency, 11u);
  EXPECT_EQ(limits.queue, 13u);
  EXPECT_EQ(limits.output, 2 * kMiB);
  EXPECT_EQ(limits.heap, 3 * kMiB);
  EXPECT_EQ(limits.exec_memory, 4 * kMiB);
  EXPECT_EQ(limits.exec_cpu, seconds(2));  // whole seconds, rounded up
  EXPECT_EQ(limits.exec_files, 17u);
  EXPECT_EQ(limits.exec_file_size, 5 * kMiB);
  ASSERT_EQ(pool.self_check.size(), 2u);
  EXPECT_EQ(pool.self_check[0].target + " " + pool.self_check[0].host, "/ping?a=b localhost");
  EXPECT_EQ(pool.self_check[0].status, 200);
  EXPECT_EQ(pool.self_check[1].target + " " + pool.self_check[1].host, "/x/ b.example:81");
  EXPECT_EQ(pool.self_check[1].status, 204);
  EXPECT_EQ(pool.log.access, At("logs/access.log"));
  EXPECT_EQ(pool.log.error, "stdout");
  EXPECT_EQ(pool.log.format, Log::Format::kJson);
  EXPECT_EQ(pool.log.level, Log::Level::kDebug);

  ASSERT_EQ(pool.listen.size(), 3u);
  EXPECT_EQ(FormatListener(pool.listen[0]), "scgi:[::1]:4000");
  EXPECT_EQ(pool.listen[1].unix_path, At("run/c.sock"));
  EXPECT_EQ(pool.listen[1].mode, 0600u);
  EXPECT_EQ(pool.listen[1].owner + pool.listen[1].group, "rootroot");
  EXPECT_EQ(pool.listen[1].backlog, 64);
  EXPECT_EQ(pool.listen[2].allow, (std::vector<std::string>{"10.0.0.0/8", "::1"}));

  ASSERT_EQ(pool.routes.size(), 6u);  // in the order in which they are tried
  EXPECT_EQ(pool.routes[0].host, "www.example.org");
  EXPECT_EQ(pool.routes[0].suffix, ".php");
  EXPECT_EQ(pool.routes[0].form, Form::kExec);
  EXPECT_EQ(pool.routes[0].file, At("app.cgi"));
  EXPECT_TRUE(pool.routes[1].exact);
  EXPECT_EQ(pool.routes[1].handler, "ping");
  EXPECT_EQ(pool.routes[2].file, At("www"));
  const Route& app = pool.routes[3];
  EXPECT_EQ(app.form, Form::kProgram);
  EXPECT_EQ(app.file, At("app.cgi"));
  EXPECT_EQ(app.environment.at("MODE"), "test");
  EXPECT_EQ(app.limits.body, 5u);
  EXPECT_EQ(app.limits.body_memory, 8 * kKiB);
  EXPECT_EQ(app.timeouts.handler, seconds(1));
  EXPECT_EQ(app.timeouts.send, seconds(8));
  EXPECT_EQ(app.timeouts.body, seconds(7));
  EXPECT_EQ(app.limits.body_rate, 6u);
  EXPECT_EQ(pool.routes[1].timeouts.send, seconds(3));
  EXPECT_EQ(app.coroutine.stack, StackMode::kShared);
  EXPECT_EQ(app.coroutine.stack_size, 128 * kKiB);
  EXPECT_EQ(pool.routes[4].file, At("app.cgi"));
  EXPECT_EQ(pool.routes[4].handler, "x");
  EXPECT_EQ(pool.routes[5].index, "");
}

TEST_F(LoadTest, WorkersInAChrootSeePathsWithoutIt) {
  Put("www/users", "a:b");
  const Settings settings = ParseHere(R"({"user": "root", "confine": {"chroot": "."},
    "log": {"access": "www/access.log", "error": "stderr"},
    "routes": [{"path": "/", "site": "www", "auth": {"users": "www/users"},
                "error_pages": {"404": "key.pem"}},
               {"path": "/a", "fastcgi": "unix:run/php.sock", "root": "www"},
               {"path": "/b", "fastcgi": {"spawn": ["app.cgi", "/x"], "directory": "www"}}]})");
  const Pool& outside = settings.pools.at("main");
  EXPECT_EQ(outside.confine.chroot, folder_.string());
  const Pool inside = SeenFromInside(outside);
  EXPECT_EQ(inside.log.access, "/www/access.log");
  EXPECT_EQ(inside.log.error, "stderr");
  const auto at = [&](const std::string& path) {
    return *std::find_if(inside.routes.begin(), inside.routes.end(),
                         [&](const Route& route) { return route.path == path; });
  };
  EXPECT_EQ(at("/").file, "/www");
  EXPECT_EQ(at("/").auth.users, "/www/users");
  EXPECT_EQ(at("/").error_pages.at(404), "/key.pem");
  EXPECT_EQ(at("/a").upstream.servers.at(0).unix_path, "/run/php.sock");
  EXPECT_EQ(at("/a").root, "/www");
  EXPECT_EQ(at("/b").upstream.command, (std::vector<std::string>{"/app.cgi", "/x"}));
  EXPECT_EQ(at("/b").upstream.directory, "/www");
  EXPECT_EQ(SeenFromInside(Pool{}).confine.chroot, "");
}

TEST_F(LoadTest, PoolsInheritFromTheTopLevel) {
  const Settings settings = ParseHere(R"({
    "workers": 2, "limits": {"body": "1m", "headers": 20},
    "pools": {
      "front": {"listen": ["http:127.0.0.1:1"], "routes": [{"site": "www"}]},
      "back": {"workers": 1, "limits": {"body": "2m"}, "listen": ["http:127.0.0.1:2"],
               "routes": [{"site": "www", "limits": {"body": "3m"}}]}}})");
  ASSERT_EQ(settings.pools.size(), 2u);
  const Pool& front = settings.pools.at("front");
  const Pool& back = settings.pools.at("back");
  EXPECT_EQ(front.workers, 2u);
  EXPECT_EQ(front.limits.body, kMiB);
  EXPECT_EQ(front.routes[0].limits.body, kMiB);
  EXPECT_EQ(back.workers, 1u);
  EXPECT_EQ(back.limits.body, 2 * kMiB);
  EXPECT_EQ(back.limits.headers, 20u);
  EXPECT_EQ(back.routes[0].limits.body, 3 * kMiB);
}

TEST_F(LoadTest, AFileIsReadFromItsOwnFolder) {
  Put("cogi.json", "// with a comment\n{\"routes\": [{\"static\": \"www\"}]}\n");
  EXPECT_EQ(Load(At("cogi.json")).pools.at("main").routes[0].file, At("www"));
}

TEST_F(LoadTest, AFileThatCannotBeReadIsNamed) {
  try {
    (void)Load(At("none.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              At("none.json") + ": cannot be read: No such file or directory");
    EXPECT_EQ(error.line(), 0);
  }
  EXPECT_THROW((void)Load(At("www")), Error);  // a directory
}

TEST_F(LoadTest, ADirectoryAloneIsAConfiguration) {
  const Settings settings = ForDirectory(At("www"), {}, 1);
  const Pool& pool = settings.pools.at("main");
  EXPECT_EQ(FormatListener(pool.listen.at(0)), "http:127.0.0.1:8080");
  EXPECT_EQ(pool.routes.at(0).form, Form::kSite);
  EXPECT_EQ(pool.routes.at(0).file, At("www"));
  EXPECT_EQ(pool.workers, 1u);
  const Settings two = ForDirectory(At("www"), {"http:[::]:80", "fastcgi:unix:/run/x.sock"}, 1);
  EXPECT_EQ(FormatListener(two.pools.at("main").listen.at(1)), "fastcgi:unix:/run/x.sock");
  EXPECT_THROW((void)ForDirectory(At("none"), {}, 1), Error);
  EXPECT_THROW((void)ForDirectory(At("www"), {"8080"}, 1), Error);
}

TEST_F(LoadTest, TheRouteTableShowsWhatIsTriedInOrder) {
  const Settings settings = ParseHere(R"({"workers": 1, "listen": ["http:127.0.0.1:80"],
    "routes": [{"site": "www"}, {"path": "/app", "program": "app.cgi"},
               {"exact": "/ping", "native": "ping"},
               {"host": "php.example", "suffix": ".php", "exec": "app.cgi"}]})");
  EXPECT_EQ(RouteTable(settings),
            "pool main: 1 worker, shared stacks of 1m\n"
            "  listens on http:127.0.0.1:80\n"
            "  HOST         PATH      FORM     ANSWERED BY\n"
            "  php.example  /*.php    exec     " +
                At("app.cgi") +
                "\n"
                "  *            /ping     native   ping\n"
                "  *            /app[/*]  program  " +
                At("app.cgi") +
                "\n"
                "  *            /*        site     " +
                At("www") + "\n");
}

}  // namespace
}  // namespace cogi::config
