// Settings: everything that cogi.json can say, typed, with a default for each field. `Settings{}`
// is a valid configuration without routes; config/load.h makes one from a file. Plain values: no
// I/O, no locks, nothing yields. Only server/ reads them.
//
// A pool inherits what the top level of the file says, a route what its pool says; by the time a
// Settings is handed out every value is final, so a reader never looks one level up.
#ifndef COGI_CONFIG_SETTINGS_H_
#define COGI_CONFIG_SETTINGS_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cogi::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

// The protocol that a listener speaks.
enum class Protocol : uint8_t { kFastCgi, kHttp, kHttps, kScgi };

// Tls: JSON "tls" of an https listener. All files are PEM and must be readable when the server
// starts.
struct Tls {
  struct Certificate {
    std::string file;  // the chain, leaf first
    std::string key;
  };
  // "certificate" and "key", or several of them as "certificates": the first whose names have the
  // host that a client asks for (SNI) is shown to it, the first of all if none has.
  std::vector<Certificate> certificates;
  // "client_ca": whose certificates clients may show, and "client": whether they must.
  enum class Client : uint8_t { kNone, kOptional, kRequired };
  Client client = Client::kNone;
  std::string client_ca;
  // A certificate for localhost is made at the start (cogi serve --tls-dev).
  bool self_signed = false;

  [[nodiscard]] bool has_certificate() const { return self_signed || !certificates.empty(); }
};

// Listener: one entry of "listen", either a string such as "http:127.0.0.1:8080" or
// "fastcgi:unix:/run/cogi.sock", or an object that holds that string as "address" and more.
struct Listener {
  Protocol protocol = Protocol::kHttp;
  // TCP: a numeric address ("127.0.0.1", "::1" without brackets; "0.0.0.0" or "::": all) and a port
  // (0 to 65535; 0: any free one).
  std::string host;
  uint16_t port = 0;
  // Unix socket: its absolute path, at most 107 bytes; "": this listener is TCP.
  std::string unix_path;
  mode_t mode = 0660;  // permission bits of the socket file (JSON: "0660")
  std::string owner;   // user name that owns the socket file; "": as it comes
  std::string group;   // group name; "": as it comes
  int backlog = 4096;  // of listen(2): 1 to 65535 (the kernel caps it at net.core.somaxconn)
  // Peers that may connect, as addresses or CIDR blocks ("10.0.0.0/8", "::1"); empty: everybody.
  // Others are closed at once, and counted. TCP only.
  std::vector<std::string> allow;
  // Proxies in front, as addresses, CIDR blocks or "unix:" (the peers of a unix socket): their word
  // on who the client is counts, that of others never. Which of their request fields is read is
  // `forwarded`; with `proxy_protocol` each connection begins with a PROXY header (version 1 or 2),
  // and peers that are not trusted are refused. http and https only.
  std::vector<std::string> trusted;
  enum class Forwarded : uint8_t { kOff, kXForwarded, kForwarded };
  Forwarded forwarded = Forwarded::kXForwarded;  // "off", "x-forwarded", "forwarded" (RFC 7239)
  bool proxy_protocol = false;
  Tls tls;

  [[nodiscard]] bool is_unix() const { return !unix_path.empty(); }
};

enum class StackMode : uint8_t { kShared, kPrivate };

// Coroutines: JSON "coroutine". The stacks of a worker and how many coroutines it may have.
struct Coroutines {
  StackMode stack = StackMode::kShared;  // "shared" or "private"
  uint64_t stack_size = 1 * kMiB;        // bytes of one run stack: 16k to 1g
  uint32_t shared_stacks = 8;            // run stacks per worker in shared mode: 1 to 1024
  uint32_t max = 1'000'000;              // coroutines per worker: 16 to 100,000,000
  bool offload_files = true;             // helper threads do what has to wait for the disk
};

// Timeouts: JSON "timeouts". Every one is more than zero unless it says otherwise, and at most a
// year. Monotonic clock.
struct Timeouts {
  milliseconds header = seconds(10);         // from the first byte to the end of the header block
  milliseconds body = seconds(30);           // the body stands still so long
  milliseconds send = seconds(30);           // the client takes nothing so long
  milliseconds keep_alive = seconds(75);     // idle between two requests; 0: no keep-alive
  milliseconds tls_handshake = seconds(10);  // of an https listener
  milliseconds handler = seconds(60);        // the whole answer of a handler
  milliseconds queue = seconds(5);           // wait for a free place, then 503
  milliseconds connect = seconds(5);         // to a FastCGI upstream
  // From the end of a request's header to the end of its answer, whatever goes on in between; not
  // shorter than `handler`. 504, or the connection is cut if the answer has begun.
  milliseconds total = std::chrono::hours(24);
};

// Limits: JSON "limits". All hold before a handler runs. Bytes unless said otherwise.
struct Limits {
  uint64_t request_line = 8 * kKiB;     // 128 to 1m; over it: 414
  uint64_t header_block = 32 * kKiB;    // all headers of a request, 1k to 1m; over it: 431
  uint32_t headers = 100;               // how many, 8 to 10,000; over it: 431
  uint64_t fastcgi_params = 64 * kKiB;  // one FastCGI PARAMS stream, 1k to 16m
  uint32_t fastcgi_pairs = 256;         // name-value pairs in it, 8 to 100,000
  uint32_t fastcgi_requests = 100;      // at once on one FastCGI connection, 1 to 65535
  uint64_t body = 16 * kMiB;            // request body, 0 to 1 TiB; over it: 413
  uint64_t body_memory = 64 * kKiB;     // of it in memory, 4k to 1g; the rest in an unlinked file
  uint64_t body_rate = 1 * kKiB;        // bytes a second that a body must arrive at; 0: none
  uint32_t keep_alive_requests = 1000;  // requests on one HTTP connection, 1 to 4 billion
  uint32_t connections = 100'000;       // open at once per worker, and requests over FastCGI
  // Of them from one address, per worker, 0 to 10,000,000; 0: no limit. The rest is closed at once.
  // Not on unix sockets, and not on listeners that trust proxies: there one address is many people.
  uint32_t connections_per_address = 0;
  uint32_t redirects = 10;  // local redirects of one request, 0 to 100; then 500
  uint32_t concurrency =
      0;                  // requests at once that a route (or pool) answers per worker; 0: no limit
  uint32_t queue = 1024;  // requests that wait for a free place per worker, 0 to 1,000,000

  // Of one request's program; 0: no limit. The output counts with its header; over it: 502, or the
  // response is cut.
  uint64_t output = 0;  // 0 to 1 TiB
  // In process: what it may have allocated at once; more: malloc fails. 0 to 1 TiB.
  uint64_t heap = 0;
  // By exec: resource limits of its process (setrlimit(2)), inherited by what it starts; 0: those
  // of the server.
  uint64_t exec_memory = 0;     // RLIMIT_AS, 0 to 1 TiB
  seconds exec_cpu{0};          // RLIMIT_CPU, whole seconds, 0 to a day
  uint32_t exec_files = 0;      // RLIMIT_NOFILE, 0 to 1,000,000
  uint64_t exec_file_size = 0;  // RLIMIT_FSIZE, 0 to 1 TiB
};

// Compression: JSON "compress" of a pool or route: true for the defaults, or an object. Answers are
// compressed on the way if the client takes it, the type is one of `types` and the body is at least
// `min_size` or of unknown size; never what is encoded already, a part of a file, or
// "no-transform".
struct Compression {
  bool gzip = false;
  bool brotli = false;
  uint32_t level = 4;  // 1 to 9: of either, more is smaller and slower
  uint64_t min_size = 1 * kKiB;
  // Media types without parameters; "text/*" stands for all of text.
  std::vector<std::string> types{
      "text/*",           "application/javascript", "application/json", "application/manifest+json",
      "application/wasm", "application/xhtml+xml",  "application/xml",  "image/svg+xml"};

  [[nodiscard]] bool any() const { return gzip || brotli; }
};

// BasicAuth: JSON "auth" of a route. Who may ask, by RFC 7617.
struct BasicAuth {
  std::string realm = "restricted";  // shown to the user
  std::string users;                 // a file of NAME:HASH lines (htpasswd); "": everybody may
};

// Form: who answers on a route.
enum class Form : uint8_t {
  kStatic,    // "static": DIRECTORY           files, never executed
  kSite,      // "site": DIRECTORY             as `cogi serve DIRECTORY`: *.cgi and cgi-bin/ run
  kProgram,   // "program": FILE or DIRECTORY  CGI programs in process, made by `cogi cc`
  kNative,    // "native": NAME, or {"module": FILE, "handler": NAME}
  kExec,      // "exec": FILE or DIRECTORY     CGI programs by fork and exec
  kRedirect,  // "redirect": "https://other.example{path}{query}": the client is sent elsewhere
  kRewrite,   // "rewrite": "/index.cgi{rest}": asked again, of the route that has that path
  kUpstream,  // "fastcgi": FastCGI applications that run already, or are spawned; see Upstream
};

// Upstream: JSON "fastcgi" of a route, the FastCGI applications that answer it: either servers that
// somebody else starts (php-fpm), as an address, a list of them or {"servers": [...]}; or processes
// that each worker starts and watches itself, {"spawn": [EXECUTABLE, ARGUMENT...]}.
struct Upstream {
  struct Server {
    std::string unix_path;  // absolute, or
    std::string host;       // a numeric address
    uint16_t port = 0;      // and a port, 1 to 65535
  };
  std::vector<Server> servers;  // at least one, unless processes are spawned
  // Connections to each server per worker: how many stay open between two requests (0 to 65535; a
  // kept connection holds a child of php-fpm, so none by default), and how many there may be (0 to
  // 65535; 0: no limit).
  uint32_t keep = 0;
  uint32_t connections = 0;

  // The executable, absolute, and its arguments; empty: `servers` answer. Each process answers one
  // request at a time.
  std::vector<std::string> command;
  uint32_t min_processes = 0;   // that always run, 0 to 1024, per worker
  uint32_t max_processes = 8;   // at most, 1 to 1024, per worker
  uint32_t requests = 0;        // after so many a process is replaced; 0: never
  std::string directory = "/";  // their working directory, absolute
  // Their environment beside PATH.
  std::map<std::string, std::string> environment;

  // A kept connection that rests so long is closed, a process above the minimum ended.
  milliseconds idle = seconds(60);
};

// Route: one entry of "routes". A loaded pool has them in the order in which they are tried, the
// first that matches answers (config/route_match.h): those with a host before those without, exact
// ones before prefixes, longer paths before shorter ones, of one path those with a suffix first.
struct Route {
  // "path": "/app/" is that path and all below it ("/app" without the slash also matches "/app" and
  // "/app/x", never "/apple"). "exact": "/ping" is that path alone.
  bool exact = false;
  std::string path = "/";  // begins with "/", decoded and normalised
  std::string suffix;      // "suffix": ".php", only paths that end so; "": any
  std::string host;        // "host": without a port, lower case; "": all hosts

  Form form = Form::kStatic;
  // Absolute path of the directory, program or executable; of the module of a native handler ("":
  // one that is built into the server).
  std::string file;
  std::string handler;  // kNative: its name
  // kStatic, kSite, kUpstream with a root: answers for a directory; "": none. For kUpstream the
  // default is "index.php".
  std::string index = "index.html";
  // kUpstream: "root", absolute: requests name scripts below it; "": the application answers the
  // whole route by itself.
  std::string root;
  Upstream upstream;
  bool listing = false;        // kStatic, kSite: a directory without an index is listed, not 403
  bool precompressed = false;  // kStatic, kSite: FILE.br or FILE.gz, not older, is sent for FILE
  // kRedirect, kRewrite: where to. {path} is the path that was asked for, {rest} what of it lies
  // below the route's own, {query} "?" and the query or nothing, {host} the host asked; encoded.
  std::string target;
  uint16_t redirect_status = 302;  // kRedirect: 301, 302, 303, 307 or 308
  // "environment": {NAME: VALUE}, further meta-variables for the programs of this route.
  std::map<std::string, std::string> environment;
  // "headers": {NAME: VALUE}, set in every answer of the route, also over the handler's own; with
  // the value null (here: "") the header is taken out.
  std::map<std::string, std::string> headers;
  Compression compress;
  BasicAuth auth;
  // "error_pages": {"404": FILE, "5xx": FILE}: instead of the server's own pages (not of a
  // program's), by status or by class (4, 5). Read when the server starts.
  std::map<uint16_t, std::string> error_pages;

  Coroutines coroutine;  // "coroutine": stack and stack_size count here
  Timeouts timeouts;     // "timeouts": handler, queue and connect count here
  // "limits": body, body_memory, redirects, concurrency, queue, and those of programs.
  Limits limits;
};

// Log: JSON "log". Every process of the server appends to the files; they are opened anew at
// USR1.
struct Log {
  enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };
  enum class Format : uint8_t { kCombined, kJson };
  // A file, "stdout", "stderr" or "off".
  std::string access = "stdout";
  std::string error = "stderr";       // not "off": nothing fails silently
  Format format = Format::kCombined;  // of the access log: "combined" or "json"
  Level level = Level::kInfo;         // least level of the error log: debug, info, warning, error
};

// SelfCheck: one entry of "self_check", either the path as a string or an object. A request that
// the workers of a new start, reload or upgrade ask themselves before they serve; if it is answered
// otherwise, they do not.
struct SelfCheck {
  std::string target;              // JSON "path": a path and perhaps a query, encoded
  std::string host = "localhost";  // for routes of a host
  uint16_t status = 200;           // of the right answer, 200 to 599
};

// Confinement: JSON "confine" of a pool, what its workers cannot do any more once they serve.
struct Confinement {
  // Absolute: the workers' root directory. Every path of the pool lies below it, as it is seen from
  // outside; needs `user`. "": none.
  std::string chroot;
  // No executable makes them more than they are (prctl(2) PR_SET_NO_NEW_PRIVS), sendmail's of a
  // program included.
  bool no_new_privileges = true;
  // A filter of system calls, inherited by what they start: "basic" denies what administers the
  // machine or looks into other processes, "no-exec" also starting executables.
  enum class Seccomp : uint8_t { kOff, kBasic, kNoExec };
  Seccomp seccomp = Seccomp::kOff;
};

// Pool: listeners with their own routes, workers, user and limits; the wall between applications
// that do not trust each other.
struct Pool {
  uint32_t workers = 0;  // processes: 1 to 1024 ("auto" or 0: one per CPU); the loader resolves 0
  std::string user;      // workers run as this user (the master must be root); "": as the master
  std::string group;     // "": the primary group of `user`
  std::vector<Listener> listen;
  std::vector<Route> routes;
  std::vector<SelfCheck> self_check;
  Coroutines coroutine;
  Timeouts timeouts;
  Limits limits;
  Compression compress;
  Confinement confine;
  Log log;
};

// Settings: the whole file.
struct Settings {
  // By name; at least one. A file without "pools" is one pool called "main".
  std::map<std::string, Pool> pools;
  std::string pid_file;  // "": none. Absolute.
  // Requests in flight may take so long after TERM or reload; then they are cut. 0 to a day.
  milliseconds drain = seconds(30);
  // A worker that died is replaced after restart_min, doubling up to restart_max while it keeps
  // dying; a worker that lived for restart_max starts from restart_min again. 10 ms to an hour.
  milliseconds restart_min = milliseconds(100);
  milliseconds restart_max = seconds(30);
  // CPU time without a yield after which a handler is logged with its backtrace, and after which
  // its worker is drained and replaced. 0: never.
  milliseconds stall_log = seconds(1);
  milliseconds stall_restart = seconds(10);
};

}  // namespace cogi::config

#endif  // COGI_CONFIG_SETTINGS_H_
