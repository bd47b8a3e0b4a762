#include "config/load.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <stdexcept>
#include <tuple>

#include "config/route_match.h"
#include "config/sections.h"

namespace cogi::config {
namespace {

constexpr size_t kMaxFile = 16 * kMiB;
constexpr milliseconds kDay = std::chrono::hours(24);
constexpr milliseconds kHour = std::chrono::hours(1);
constexpr std::string_view kDefaultListener = "http:127.0.0.1:8080";
constexpr std::string_view kDefaultTlsListener = "https:127.0.0.1:8443";

// The CPUs that this process may use.
uint32_t CpuCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
}

// A user or group that the system does not know is refused here, where the line is known.
void CheckUser(const Object& object, const Pool& pool) {
  std::string buffer(16 * kKiB, '\0');
  passwd user{};
  passwd* found_user = nullptr;
  if (!pool.user.empty() &&
      (getpwnam_r(pool.user.c_str(), &user, buffer.data(), buffer.size(), &found_user) != 0 ||
       found_user == nullptr))
    object.Refuse("user", "no such user: " + pool.user);
  group group{};
  ::group* found_group = nullptr;
  if (!pool.group.empty() &&
      (getgrnam_r(pool.group.c_str(), &group, buffer.data(), buffer.size(), &found_group) != 0 ||
       found_group == nullptr))
    object.Refuse("group", "no such group: " + pool.group);
  if (pool.user.empty() && !pool.group.empty()) object.Refuse("group", "needs \"user\" beside it");
}

void ReadWorkers(Object& object, Pool& pool) {
  const Node* node = object.Find("workers");
  if (node == nullptr) return;
  if (node->kind == Node::Kind::kString && node->string == "auto") {
    pool.workers = 0;
    return;
  }
  if (node->kind != Node::Kind::kInteger || node->integer < 0 || node->integer > 1024)
    object.Expected("workers", "a whole number from 1 to 1024, or \"auto\" for one per CPU", *node);
  pool.workers = static_cast<uint32_t>(node->integer);
}

// What the top level gives to all pools.
void ReadShared(const Source& source, Object& object, Pool& pool) {
  ReadWorkers(object, pool);
  object.Read("user", pool.user);
  object.Read("group", pool.group);
  CheckUser(object, pool);
  ReadGroup(object, "coroutine",
            [&](Object& group) { ReadCoroutines(group, Scope::kPool, pool.coroutine); });
  ReadGroup(object, "timeouts",
            [&](Object& group) { ReadTimeouts(group, Scope::kPool, pool.timeouts); });
  ReadGroup(object, "limits", [&](Object& group) { ReadLimits(group, Scope::kPool, pool.limits); });
  ReadCompression(object, pool.compress);
  ReadGroup(object, "log", [&](Object& group) { ReadLog(source, group, pool.log); });
  ReadConfinement(source, object, pool);
}

void ReadListenAndRoutes(const Source& source, Object& object, Pool& pool) {
  object.ForEach("listen", [&](const Node& node, const std::string& pointer) {
    pool.listen.push_back(ReadListener(source, node, pointer));
  });
  std::set<std::tuple<std::string, bool, std::string, std::string>> seen;
  object.ForEach("routes", [&](const Node& node, const std::string& pointer) {
    const Route route = ReadRoute(source, node, pointer, pool);
    CheckConfined(source, node, pointer, pool, route);
    if (!seen.emplace(route.host, route.exact, route.path, route.suffix).second)
      throw source.document.ErrorAt(node.offset, pointer,
                                    "a route before this one matches the same requests, so this "
                                    "one would never answer");
    pool.routes.push_back(route);
  });
  SortRoutes(pool.routes);
  ReadSelfCheck(source, object, pool.self_check);
}

void ReadPools(const Source& source, Object& top, const Pool& base, Settings& settings) {
  for (const char* key : {"listen", "routes", "self_check"}) {
    if (top.Find(key) != nullptr)
      top.Refuse(key, "stands beside \"pools\"; each pool has its own, so put it into one of them");
  }
  ReadGroup(top, "pools", [&](Object& pools) {
    for (const Member& member : pools.node().members) {
      Object object(source.document, member.value, pools.PointerTo(member.key));
      Pool pool = base;
      ReadShared(source, object, pool);
      ReadListenAndRoutes(source, object, pool);
      object.Done();
      if (member.key.empty() || member.key.find_first_of(" /\t\n") != std::string::npos)
        object.Refuse("", "expected a name without spaces and slashes");
      if (pool.listen.empty()) object.Refuse("listen", "a pool needs at least one \"listen\"");
      if (pool.routes.empty()) object.Refuse("routes", "a pool needs at least one route");
      settings.pools.emplace(member.key, std::move(pool));
    }
    if (settings.pools.empty()) pools.Refuse("", "needs at least one pool");
  });
}

// "status": a listener of its own for what the server says of itself. A pool of its own, so that a
// process answers there that nothing else keeps busy.
void ReadStatus(const Source& source, Object& top, const Pool& base, Settings& settings) {
  const Node* const node = top.Find("status");
  if (node == nullptr) return;
  constexpr const char* kName = "status";
  if (settings.pools.contains(kName))
    top.Refuse(kName, "is served by a pool of this name; give yours another name");
  Pool pool = base;
  pool.workers = 1;
  pool.log.access = "off";
  pool.listen.push_back(ReadListener(source, *node, top.PointerTo(kName)));
  for (const auto& [path, handler] :
       {std::pair("/healthz", "healthz"), std::pair("/status", "status"),
        std::pair("/metrics", "metrics")}) {
    Route route;
    route.exact = true;
    route.path = path;
    route.form = Form::kNative;
    route.handler = handler;
    pool.routes.push_back(std::move(route));
  }
  SortRoutes(pool.routes);
  settings.pools.emplace(kName, std::move(pool));
}

void ReadSupervision(const Source& source, Object& top, Settings& settings) {
  top.Read("pid_file", settings.pid_file);
  if (!settings.pid_file.empty()) settings.pid_file = source.Absolute(settings.pid_file);
  top.ReadDuration("drain", settings.drain, milliseconds(0), kDay);
  ReadGroup(top, "restart", [&](Object& object) {
    object.ReadDuration("min", settings.restart_min, milliseconds(10), kHour);
    object.ReadDuration("max", settings.restart_max, milliseconds(10), kHour);
    object.Done();
    if (settings.restart_min > settings.restart_max) object.Refuse("min", "is longer than \"max\"");
  });
  ReadGroup(top, "stall", [&](Object& object) {
    object.ReadDuration("log", settings.stall_log, milliseconds(0), kHour);
    object.ReadDuration("restart", settings.stall_restart, milliseconds(0), kHour);
    object.Done();
  });
}

// Two listeners of one address: the second could not be bound.
void CheckListeners(const Document& document, const Settings& settings) {
  std::set<std::string> seen;
  for (const auto& [name, pool] : settings.pools) {
    for (const Listener& listener : pool.listen) {
      const std::string text = FormatListener(listener);
      const std::string address = text.substr(text.find(':') + 1);
      if (!listener.is_unix() && listener.port == 0) continue;
      if (!seen.insert(address).second)
        throw document.ErrorAt(document.root().offset, "",
                               "two listeners have the address " + address + "; give each its own");
    }
  }
}

void ResolveWorkers(Settings& settings) {
  for (auto& [name, pool] : settings.pools) {
    if (pool.workers == 0) pool.workers = CpuCount();
  }
}

std::string ReadWhole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Error(path, 0, 0, "", std::string("cannot be read: ") + std::strerror(errno));
  std::string text;
  std::string buffer(64 * kKiB, '\0');
  ssize_t size = 0;
  while (text.size() <= kMaxFile && (size = read(fd, buffer.data(), buffer.size())) != 0) {
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;
    text.append(buffer, 0, static_cast<size_t>(size));
  }
  const int error = size < 0 ? errno : 0;
  close(fd);
  if (error != 0) throw Error(path, 0, 0, "", std::string("cannot be read: ") + strerror(error));
  if (text.size() > kMaxFile)
    throw Error(path, 0, 0, "", "is larger than " + std::to_string(kMaxFile / kMiB) + " MiB");
  return text;
}

}  // namespace

Settings Parse(std::string_view text, const std::string& file) {
  const Document document(text, file);
  std::error_code error;  // a working directory that is gone: relative paths stay relative
  const Source source{document, std::filesystem::absolute(file, error).parent_path()};
  Object top(document, document.root(), "");
  Settings settings;
  ReadSupervision(source, top, settings);
  Pool base;
  ReadShared(source, top, base);
  if (top.Find("pools") != nullptr) {
    ReadPools(source, top, base, settings);
    ReadStatus(source, top, base, settings);
    top.Done();
  } else {
    ReadStatus(source, top, base, settings);
    ReadListenAndRoutes(source, top, base);
    top.Done();
    if (base.listen.empty()) base.listen.push_back(ParseListener(kDefaultListener));
    if (base.routes.empty())
      top.Refuse("routes",
                 "there is nothing to serve: expected \"routes\", such as "
                 "[{\"path\": \"/\", \"site\": \"www\"}]");
    settings.pools.emplace("main", std::move(base));
  }
  CheckListeners(document, settings);
  ResolveWorkers(settings);
  return settings;
}

Settings Load(const std::string& path) { return Parse(ReadWhole(path), path); }

Settings ForDirectory(const std::string& directory, const std::vector<std::string>& listen,
                      uint32_t workers, bool tls_dev) {
  constexpr const char* kPlace = "command line";
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    throw Error(kPlace, 0, 0, "", "no such directory: " + directory);
  Route route;
  route.form = Form::kSite;
  route.file = std::filesystem::absolute(directory, error).lexically_normal().string();
  Pool pool;
  pool.workers = workers;
  pool.routes.push_back(route);
  try {
    for (const std::string& address : listen) {
      pool.listen.push_back(ParseListener(address));
      pool.listen.back().tls.self_signed =
          tls_dev && pool.listen.back().protocol == Protocol::kHttps;
      for (const std::string& reason :
           {LacksCertificate(pool.listen.back()), LacksAllow(pool.listen.back())})
        if (!reason.empty()) throw std::invalid_argument(reason);
    }
  } catch (const std::invalid_argument& refused) {
    throw Error(kPlace, 0, 0, "", std::string("--listen: ") + refused.what());
  }
  if (pool.listen.empty()) {
    pool.listen.push_back(ParseListener(tls_dev ? kDefaultTlsListener : kDefaultListener));
    pool.listen.back().tls.self_signed = tls_dev;
  }
  Settings settings;
  settings.pools.emplace("main", std::move(pool));
  ResolveWorkers(settings);
  return settings;
}

}  // namespace cogi::config
