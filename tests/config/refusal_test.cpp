// Every refusal of the loader: position, JSON pointer and the words of the message.
#include <algorithm>
#include <ostream>

#include "config/object.h"
#include "tests/config/scratch.h"

namespace cogi::config {

struct Refused {
  const char* text;     // what stands in the file, with "@" before what the message must point at
  const char* path;     // JSON pointer
  const char* message;  // a part of the message
};

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.text; }

namespace {

class Refusal : public Scratch, public ::testing::WithParamInterface<Refused> {};

TEST_P(Refusal, NamesPlaceAndMend) {
  const Refused& expected = GetParam();
  std::string text = expected.text;
  const size_t place = text.find('@');
  text.erase(place, 1);
  const std::string before = text.substr(0, place);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  try {
    (void)ParseHere(text);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.line(), line) << error.what();
    EXPECT_EQ(error.column(), column) << error.what();
    EXPECT_EQ(error.path(), expected.path) << error.what();
    EXPECT_NE(std::string(error.what()).find(expected.message), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).rfind(At("cogi.json") + ":", 0), 0u) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    UnknownKeys, Refusal,
    ::testing::Values(Refused{R"({@"rotues": []})", "/rotues", "did you mean \"routes\"?"},
                      Refused{R"({
  "timeouts": {@"heder": 1}})",
                              "/timeouts/heder", "did you mean \"header\"?"},
                      Refused{R"({"limits": {@"boddy": 1}})", "/limits/boddy", "\"body\""},
                      Refused{R"({"log": {@"acess": "off"}})", "/log/acess", "\"access\""},
                      Refused{R"({"coroutine": {@"stak": 1}})", "/coroutine/stak", "\"stack\""},
                      Refused{R"({"routes": [{@"sight": "www"}]})", "/routes/0/sight", "\"site\""},
                      Refused{R"({"routes": [{"site": "www", "limits": {@"headers": 9}}]})",
                              "/routes/0/limits/headers", "unknown key"},
                      Refused{R"({"routes": [{@"zzzzzzzzzz": 1}]})", "/routes/0/zzzzzzzzzz",
                              "known here: "},
                      Refused{R"({"listen": [{"address": "http:[::1]:80", @"blacklog": 9}]})",
                              "/listen/0/blacklog", "\"backlog\""},
                      Refused{R"({"pools": {"a": {"listen": ["http:127.0.0.1:1"], @"worker": 1}}})",
                              "/pools/a/worker", "\"workers\""},
                      Refused{R"({@"a/b~": 1})", "/a~1b~0", "unknown key"},
                      Refused{R"({"restart": {@"mim": 1}})", "/restart/mim", "\"min\""},
                      Refused{R"({"stall": {@"lg": 1}})", "/stall/lg", "\"log\""}));

INSTANTIATE_TEST_SUITE_P(
    WrongTypes, Refusal,
    ::testing::Values(
        Refused{R"(@[])", "", "expected an object, got an array"},
        Refused{R"({"workers": @"two"})", "/workers", "1 to 1024, or \"auto\""},
        Refused{R"({"workers": @1.5})", "/workers", "got 1.5"},
        Refused{R"({"user": @7})", "/user", "expected a string, got 7"},
        Refused{R"({"timeouts": @5})", "/timeouts", "expected an object, got 5"},
        Refused{R"({"timeouts": {"send": @true}})", "/timeouts/send", "a duration from 1ms"},
        Refused{R"({"limits": {"body": @null}})", "/limits/body", "a size from 0 to 1t"},
        Refused{R"({"limits": {"headers": @"many"}})", "/limits/headers",
                "a whole number from 8 to 10000, got \"many\""},
        Refused{R"({"listen": @"http:127.0.0.1:1"})", "/listen", "expected an array"},
        Refused{R"({"listen": [@8080]})", "/listen/0", "expected an object"},
        Refused{R"({"routes": @{}})", "/routes", "expected an array"},
        Refused{R"({"routes": [@"www"]})", "/routes/0", "expected an object"},
        Refused{R"({"routes": [{"site": "www", "environment": {"A": @1}}]})",
                "/routes/0/environment/A", "expected a string, got 1"},
        Refused{R"({"routes": [{"site": "www", "index": @1}]})", "/routes/0/index", "a file name"},
        Refused{R"({"log": {"level": @3}})", "/log/level", "\"debug\", \"info\""},
        Refused{R"({"pools": @[]})", "/pools", "expected an object"}));

INSTANTIATE_TEST_SUITE_P(
    ImpossibleValues, Refusal,
    ::testing::Values(
        Refused{R"(@{})", "", "there is nothing to serve"},
        Refused{R"({"routes": @[]})", "/routes", "there is nothing to serve"},
        Refused{R"({"workers": @1025})", "/workers", "1 to 1024"},
        Refused{R"({"workers": @-1})", "/workers", "got -1"},
        Refused{R"({"user": @""})", "/user", "not empty"},
        Refused{R"({"user": @"a\u0000b"})", "/user", "NUL"},
        Refused{R"({"user": @"no-such-user"})", "/user", "no such user: no-such-user"},
        Refused{R"({"user": "root", "group": @"no-such-group"})", "/group", "no such group"},
        Refused{R"({"group": @"root"})", "/group", "needs \"user\""},
        Refused{R"({"timeouts": {"send": @0}})", "/timeouts/send", "from 1ms to 365d"},
        Refused{R"({"timeouts": {"send": @"5 s"}})", "/timeouts/send", "got \"5 s\""},
        Refused{R"({"timeouts": {"send": @-0.5}})", "/timeouts/send", "got -0.5"},
        Refused{R"({"coroutine": {"stack": @"small"}})", "/coroutine/stack",
                "\"shared\" or \"private\""},
        Refused{R"({"coroutine": {"stack_size": @"8k"}})", "/coroutine/stack_size",
                "a size from 16k to 1g"},
        Refused{R"({"log": {"error": @"off"}})", "/log/error", "cannot be off"},
        Refused{R"({"restart": {"min": @"10s", "max": "1s"}})", "/restart/min",
                "longer than \"max\""},
        Refused{R"({"pools": @{}})", "/pools", "at least one pool"},
        Refused{R"({"pools": {"a": @{"routes": [{"site": "www"}]}}})", "/pools/a",
                "at least one \"listen\""},
        Refused{R"({"pools": {"a": @{"listen": ["http:127.0.0.1:1"]}}})", "/pools/a",
                "at least one route"},
        Refused{R"({"listen": @["http:127.0.0.1:1"], "pools": {}})", "/listen",
                "put it into one of them"},
        Refused{R"(@{"routes": [{"site": "www"}],
"listen": ["http:127.0.0.1:1", "fastcgi:127.0.0.1:1"]})",
                "", "two listeners have the address 127.0.0.1:1"}));

INSTANTIATE_TEST_SUITE_P(
    Deadlines, Refusal,
    ::testing::Values(
        Refused{R"({"timeouts": {"total": @0}})", "/timeouts/total", "from 1ms to 365d"},
        Refused{R"({"timeouts": {"total": @"forever"}})", "/timeouts/total", "got \"forever\""},
        Refused{R"({"timeouts": {"total": @"30s"}})", "/timeouts/total",
                "\"handler\" is longer than \"total\""},
        Refused{R"({"timeouts": {"handler": @"2d"}})", "/timeouts/handler",
                "\"handler\" is longer than \"total\""},
        Refused{R"({"timeouts": {"total": "5m"},
                    "routes": [{"site": "www", "timeouts": {"handler": @"6m"}}]})",
                "/routes/0/timeouts/handler", "longer than \"total\""},
        Refused{R"({"routes": [{"site": "www", "timeouts": {@"total": 5}}]})",
                "/routes/0/timeouts/total", "unknown key"},
        Refused{R"({"routes": [{"site": "www", "timeouts": {@"header": 5}}]})",
                "/routes/0/timeouts/header", "unknown key"},
        Refused{R"({"routes": [{"site": "www", "limits": {@"headers": 50}}]})",
                "/routes/0/limits/headers", "unknown key"}));

INSTANTIATE_TEST_SUITE_P(
    AdmissionAndStatus, Refusal,
    ::testing::Values(
        Refused{R"({"limits": {"connections_per_address": @-1}})",
                "/limits/connections_per_address", "0 to 10000000, got -1"},
        Refused{R"({"limits": {"connections_per_address": @10000001}})",
                "/limits/connections_per_address", "0 to 10000000"},
        Refused{R"({"limits": {"connections_per_address": @"1k"}})",
                "/limits/connections_per_address", "got \"1k\""},
        Refused{R"({"limits": {@"connections_per_adress": 1}})", "/limits/connections_per_adress",
                "did you mean \"connections_per_address\"?"},
        Refused{R"({"routes": [{"site": "www", "limits": {@"connections_per_address": 1}}]})",
                "/routes/0/limits/connections_per_address", "unknown key"},
        Refused{R"({"status": @5})", "/status", "expected an object"},
        Refused{R"({"status": @"127.0.0.1:1"})", "/status", "PROTOCOL:HOST:PORT"},
        Refused{R"({"status": @"https:127.0.0.1:1"})", "/status", "needs its certificate"},
        Refused{R"({"status": @"fastcgi:0.0.0.0:1"})", "/status", "\"allow\""},
        Refused{R"({"status": {"address": "http:127.0.0.1:1", @"user": "root"}})", "/status/user",
                "unknown key"},
        Refused{R"({"status": @"http:127.0.0.1:1", "pools": {"status": {
                      "listen": ["http:127.0.0.1:2"], "routes": [{"site": "www"}]}}})",
                "/status", "is served by a pool of this name"},
        Refused{R"({"pools": {"a": {"listen": ["http:127.0.0.1:2"], "routes": [{"site": "www"}],
                                    @"status": "http:127.0.0.1:1"}}})",
                "/pools/a/status", "unknown key"},
        Refused{R"(@{"routes": [{"site": "www"}], "listen": ["http:127.0.0.1:1"],
                     "status": "http:127.0.0.1:1"})",
                "", "two listeners have the address 127.0.0.1:1"}));

INSTANTIATE_TEST_SUITE_P(
    Confinement, Refusal,
    ::testing::Values(
        Refused{R"({"confine": @true})", "/confine", "expected an object"},
        Refused{R"({"confine": {@"chrot": "www"}})", "/confine/chrot", "did you mean \"chroot\"?"},
        Refused{R"({"confine": {"seccomp": @"strict"}})", "/confine/seccomp", "\"no-exec\""},
        Refused{R"({"confine": {"seccomp": @"basic", "no_new_privileges": false}})",
                "/confine/seccomp", "needs \"no_new_privileges\""},
        Refused{R"({"confine": {"no_new_privileges": @1}})", "/confine/no_new_privileges",
                "true or false"},
        Refused{R"({"user": "root", "confine": {"chroot": @"none"}})", "/confine/chroot",
                "no such directory: "},
        Refused{R"({"user": "root", "confine": {"chroot": @"/"}})", "/confine/chroot",
                "confines nobody"},
        Refused{R"({"confine": @{"chroot": "www"}})", "/confine", "needs \"user\""},
        Refused{R"({"user": "root", "confine": {"chroot": "www"}, "log": @{"error": "e.log"}})",
                "/log", "e.log lies outside of the chroot "},
        Refused{
            R"({"user": "root", "confine": {"chroot": "www"}, "routes": [@{"exec": "app.cgi"}]})",
            "/routes/0", "app.cgi lies outside of the chroot "},
        Refused{R"({"user": "root", "confine": {"chroot": "www"},
                    "routes": [@{"fastcgi": "unix:app.sock"}]})",
                "/routes/0", "app.sock lies outside of the chroot "},
        Refused{R"({"user": "root", "confine": {"chroot": "www"},
                    "routes": [@{"site": "www", "error_pages": {"404": "key.pem"}}]})",
                "/routes/0", "key.pem lies outside of the chroot "},
        Refused{R"({"confine": {"seccomp": "no-exec"}, "routes": [@{"exec": "app.cgi"}]})",
                "/routes/0", "starts processes"},
        Refused{R"({"confine": {"seccomp": "no-exec"},
                    "routes": [@{"fastcgi": {"spawn": ["app.cgi"]}}]})",
                "/routes/0", "starts processes"}));

INSTANTIATE_TEST_SUITE_P(
    Listeners, Refusal,
    ::testing::Values(
        Refused{R"({"listen": [@"8080"]})", "/listen/0", "PROTOCOL:HOST:PORT"},
        Refused{R"({"listen": [@"ftp:127.0.0.1:1"]})", "/listen/0", "fastcgi, http, https"},
        Refused{R"({"listen": [@"http:localhost:1"]})", "/listen/0", "a numeric address"},
        Refused{R"({"listen": [@"http:::1:80"]})", "/listen/0", "[::1]"},
        Refused{R"({"listen": [@"http:127.0.0.1:65536"]})", "/listen/0", "a port from 0"},
        Refused{R"({"listen": [@"http:127.0.0.1:"]})", "/listen/0", "a port from 0"},
        Refused{R"({"listen": [@"fastcgi:unix:"]})", "/listen/0", "1 to 107 bytes"},
        Refused{R"({"listen": [@"https:127.0.0.1:1"]})", "/listen/0", "needs its certificate"},
        Refused{R"({"listen": [@{}]})", "/listen/0", "needs \"address\""},
        Refused{R"({"listen": [{"address": "http:127.0.0.1:1", "mode": @"0660"}]})",
                "/listen/0/mode", "belongs to a unix socket"},
        Refused{R"({"listen": [{"address": "http:unix:/s", "mode": @"0999"}]})", "/listen/0/mode",
                "octal"},
        Refused{R"({"listen": [{"address": "http:unix:/s", "allow": @["::1"]}]})",
                "/listen/0/allow", "belongs to TCP"},
        Refused{R"({"listen": [{"address": "http:[::]:1", "allow": [@"10.0.0.0/33"]}]})",
                "/listen/0/allow/0", "got \"10.0.0.0/33\""},
        Refused{R"({"listen": [{"address": "http:[::]:1", "trusted": [@"everybody"]}]})",
                "/listen/0/trusted/0", "or \"unix:\""},
        Refused{R"({"listen": [{"address": "http:[::]:1", "proxy_protocol": @true}]})",
                "/listen/0/proxy_protocol", "needs \"trusted\""},
        Refused{
            R"({"listen": [{"address": "http:[::]:1", "trusted": ["::1"], "proxy_protocol": @1}]})",
            "/listen/0/proxy_protocol", "true or false"},
        Refused{
            R"({"listen": [{"address": "http:[::]:1", "trusted": ["::1"], "forwarded": @"via"}]})",
            "/listen/0/forwarded", "\"x-forwarded\""},
        Refused{R"({"listen": [{"address": "scgi:[::]:1", "trusted": @["::1"]}]})",
                "/listen/0/trusted", "belongs to http and https"},
        Refused{R"({"listen": [{"address": "http:[::]:1", "backlog": @0}]})", "/listen/0/backlog",
                "1 to 65535"},
        Refused{
            R"({"listen": [{"address": "http:[::]:1", "tls": @{"certificate": "cert.pem", "key": "key.pem"}}]})",
            "/listen/0/tls", "belongs to an https listener"},
        Refused{R"({"listen": [{"address": "https:[::]:1", "tls": @{"key": "key.pem"}}]})",
                "/listen/0/tls", "\"certificate\" and \"key\""},
        Refused{
            R"({"listen": [{"address": "https:[::]:1", "tls": {"certificate": @"no.pem", "key": "key.pem"}}]})",
            "/listen/0/tls/certificate", "no such file: "},
        Refused{
            R"({"listen": [{"address": "https:[::]:1", "tls": {"certificate": "cert.pem", "key": "key.pem", "certificates": @[{}]}}]})",
            "/listen/0/tls/certificates", "put all into one list"},
        Refused{R"({"listen": [{"address": "https:[::]:1", "tls": {"certificates": [@{}]}}]})",
                "/listen/0/tls/certificates/0", "two PEM files"},
        Refused{
            R"({"listen": [{"address": "https:[::]:1", "tls": {"certificate": "cert.pem", "key": "key.pem", "client": @"required"}}]})",
            "/listen/0/tls/client", "needs \"client_ca\""},
        Refused{
            R"({"listen": [{"address": "https:[::]:1", "tls": {"certificate": "cert.pem", "key": "key.pem", "client_ca": "cert.pem", "client": @"maybe"}}]})",
            "/listen/0/tls/client", "\"required\""}));

INSTANTIATE_TEST_SUITE_P(
    Routes, Refusal,
    ::testing::Values(
        Refused{R"({"routes": [@{"path": "/"}]})", "/routes/0", "says not who answers"},
        Refused{R"({"routes": [{"site": "www", "native": @"x"}]})", "/routes/0/native",
                "has \"site\" already"},
        Refused{R"({"routes": [{"path": @"app", "site": "www"}]})", "/routes/0/path",
                "begins with \"/\""},
        Refused{R"({"routes": [{"path": @"/a/../b", "site": "www"}]})", "/routes/0/path",
                "\"..\" segment"},
        Refused{R"({"routes": [{"exact": @"/a?b", "site": "www"}]})", "/routes/0/exact", "\"?\""},
        Refused{R"({"routes": [{"exact": "/a", "suffix": @".x", "site": "www"}]})",
                "/routes/0/suffix", "beside \"exact\""},
        Refused{R"({"routes": [{"suffix": @"/x", "site": "www"}]})", "/routes/0/suffix",
                "without \"/\""},
        Refused{R"({"routes": [{"host": @"a:80", "site": "www"}]})", "/routes/0/host",
                "without a port"},
        Refused{R"({"routes": [{"site": @"none"}]})", "/routes/0/site", "no such directory: "},
        Refused{R"({"routes": [{"site": @"app.cgi"}]})", "/routes/0/site", "no such directory: "},
        Refused{R"({"routes": [{"program": @"none.cgi"}]})", "/routes/0/program",
                "no such file or directory: "},
        Refused{R"({"routes": [{"native": {"module": @"www", "handler": "x"}}]})",
                "/routes/0/native/module", "no such file: "},
        Refused{R"({"routes": [{"native": @{"module": "app.cgi"}}]})", "/routes/0/native",
                "needs \"handler\""},
        Refused{R"({"routes": [{"fastcgi": @"127.0.0.1:0"}]})", "/routes/0/fastcgi",
                "a port from 1"},
        Refused{R"({"listen": [@"fastcgi:0.0.0.0:9000"]})", "/listen/0", "\"allow\""},
        Refused{R"({"listen": [{"address": @"scgi:[::]:9000", "backlog": 9}]})",
                "/listen/0/address", "believes whoever connects"},
        Refused{R"({"limits": {"fastcgi_requests": @0}})", "/limits/fastcgi_requests",
                "1 to 65535"},
        Refused{R"({"routes": [{"fastcgi": @5}]})", "/routes/0/fastcgi", "\"unix:PATH\""},
        Refused{R"({"routes": [{"fastcgi": @[]}]})", "/routes/0/fastcgi", "at least one"},
        Refused{R"({"routes": [{"fastcgi": ["unix:a", @"b"]}]})", "/routes/0/fastcgi/1",
                "HOST:PORT or unix:PATH"},
        Refused{R"({"routes": [{"fastcgi": @{"idle": 1}}]})", "/routes/0/fastcgi",
                "needs \"servers\""},
        Refused{R"({"routes": [{"fastcgi": {@"serves": ["unix:a"]}}]})", "/routes/0/fastcgi/serves",
                "did you mean \"servers\"?"},
        Refused{R"({"routes": [{"fastcgi": {"servers": ["unix:a"], @"max": 2}}]})",
                "/routes/0/fastcgi/max", "unknown key"},
        Refused{R"({"routes": [{"fastcgi": {"servers": ["unix:a"], "connections": 2,
                                            "keep": @3}}]})",
                "/routes/0/fastcgi/keep", "more than \"connections\""},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"], "servers": @["unix:a"]}}]})",
                "/routes/0/fastcgi/servers", "beside \"spawn\""},
        Refused{R"({"routes": [{"fastcgi": {"spawn": @[]}}]})", "/routes/0/fastcgi/spawn",
                "expected an executable"},
        Refused{R"({"routes": [{"fastcgi": {"spawn": @["none"]}}]})", "/routes/0/fastcgi/spawn",
                "no such file: "},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi", @1]}}]})",
                "/routes/0/fastcgi/spawn/1", "expected a string"},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"], "min": @9}}]})",
                "/routes/0/fastcgi/min", "more than \"max\""},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"], "max": @0}}]})",
                "/routes/0/fastcgi/max", "1 to 1024"},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"], "idle": @0}}]})",
                "/routes/0/fastcgi/idle", "100ms"},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"], "directory": @"none"}}]})",
                "/routes/0/fastcgi/directory", "no such directory"},
        Refused{R"({"routes": [{"fastcgi": {"spawn": ["app.cgi"],
                                            "environment": {"A-B": @""}}}]})",
                "/routes/0/fastcgi/environment/A-B", "name of an environment variable"},
        Refused{R"({"routes": [{"fastcgi": "unix:a", "root": @"none"}]})", "/routes/0/root",
                "no such directory: "},
        Refused{R"({"routes": [{"native": "x", @"root": "www"}]})", "/routes/0/root",
                "unknown key"},
        Refused{R"({"routes": [{"fastcgi": "unix:a", "index": @"i"}]})", "/routes/0/index",
                "with a \"root\""},
        Refused{R"({"routes": [{"fastcgi": @"php"}]})", "/routes/0/fastcgi",
                "HOST:PORT or unix:PATH"},
        Refused{R"({"routes": [{"native": "x", "index": @"i"}]})", "/routes/0/index",
                "belongs to \"static\", \"site\""},
        Refused{R"({"routes": [{"native": "x", "listing": @true}]})", "/routes/0/listing",
                "belongs to \"static\" and \"site\""},
        Refused{R"({"routes": [{"site": "www", "precompressed": @1}]})", "/routes/0/precompressed",
                "true or false"},
        Refused{R"({"routes": [{"redirect": @"/a b"}]})", "/routes/0/redirect", "without spaces"},
        Refused{R"({"routes": [{"redirect": @"/{rset}"}]})", "/routes/0/redirect",
                "got \"{rset}\""},
        Refused{R"({"routes": [{"redirect": "/a", "status": @304}]})", "/routes/0/status",
                "301, 302, 303, 307 or 308"},
        Refused{R"({"routes": [{"site": "www", "status": @301}]})", "/routes/0/status",
                "belongs to \"redirect\""},
        Refused{R"({"routes": [{"rewrite": @"index.cgi"}]})", "/routes/0/rewrite",
                "begins with \"/\""},
        Refused{R"({"routes": [{"site": "www", "headers": {"A B": @"x"}}]})",
                "/routes/0/headers/A B", "the name of a header"},
        Refused{R"({"routes": [{"site": "www", "headers": {"Content-length": @"1"}}]})",
                "/routes/0/headers/Content-length", "the server's own business"},
        Refused{R"({"routes": [{"site": "www", "headers": {"X": @"a\r\nB: c"}}]})",
                "/routes/0/headers/X", "no control characters"},
        Refused{R"({"routes": [{"site": "www", "auth": @{}}]})", "/routes/0/auth",
                "needs \"users\""},
        Refused{R"({"routes": [{"site": "www", "auth": {"users": @"none"}}]})",
                "/routes/0/auth/users", "no such file: "},
        Refused{R"({"routes": [{"site": "www", "auth": {"users": "key.pem", "realm": @"a\"b"}}]})",
                "/routes/0/auth/realm", "without quotes"},
        Refused{R"({"routes": [{"site": "www", "error_pages": {"200": @"key.pem"}}]})",
                "/routes/0/error_pages/200", "400 to 599"},
        Refused{R"({"routes": [{"site": "www", "error_pages": {"5xx": @"none"}}]})",
                "/routes/0/error_pages/5xx", "no such file: "},
        Refused{R"({"routes": [{"site": "www", "compress": {"level": @10}}]})",
                "/routes/0/compress/level", "1 to 9"},
        Refused{R"({"compress": {"types": [@"text"]}, "routes": [{"site": "www"}]})",
                "/compress/types/0", "a media type"},
        Refused{R"({"routes": [{"site": "www", "environment": {"1A": @""}}]})",
                "/routes/0/environment/1A", "name of an environment variable"},
        Refused{R"({"routes": [{"site": "www", "environment": {"HTTP_PROXY": @""}}]})",
                "/routes/0/environment/HTTP_PROXY", "not HTTP_PROXY"},
        Refused{R"({"self_check": @"/", "routes": [{"site": "www"}]})", "/self_check",
                "expected an array"},
        Refused{R"({"self_check": ["/", @"ping"], "routes": [{"site": "www"}]})", "/self_check/1",
                "expected a path"},
        Refused{R"({"self_check": [{"path": @"/a b"}], "routes": [{"site": "www"}]})",
                "/self_check/0/path", "encoded as a client sends it"},
        Refused{R"({"self_check": [@{"status": 204}], "routes": [{"site": "www"}]})",
                "/self_check/0", "expected a path"},
        Refused{R"({"self_check": [{"path": "/", "status": @100}], "routes": [{"site": "www"}]})",
                "/self_check/0/status", "200 to 599"},
        Refused{R"({"self_check": [{"path": "/", "host": @"a\r\nB: c"}],
"routes": [{"site": "www"}]})",
                "/self_check/0/host", "a host"},
        Refused{R"({"self_check": @["/"], "pools": {"a": {"routes": [{"site": "www"}]}}})",
                "/self_check", "each pool has its own"},
        Refused{R"({"routes": [{"site": "www"},
@{"path": "/", "static": "www"}]})",
                "/routes/1", "would never answer"}));

TEST(Nearest, IsTheKeyThatWasMeant) {
  const std::vector<std::string_view> known{"header", "body", "send", "keep_alive"};
  EXPECT_EQ(Nearest("heder", known), "header");
  EXPECT_EQ(Nearest("bdoy", known), "body");
  EXPECT_EQ(Nearest("keepalive", known), "keep_alive");
  EXPECT_EQ(Nearest("Send", known), "send");
  EXPECT_EQ(Nearest("frobnicate", known), "");
  EXPECT_EQ(Nearest(std::string(100'000, 'x'), known), "");
  EXPECT_EQ(Nearest("x", {}), "");
}

}  // namespace
}  // namespace cogi::config
