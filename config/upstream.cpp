// "fastcgi" of a route.
#include <filesystem>
#include <stdexcept>

#include "config/sections.h"

namespace cogi::config {
namespace {

constexpr uint32_t kMostConnections = 65535;
constexpr uint32_t kMostProcesses = 1024;
constexpr milliseconds kDay = std::chrono::hours(24);

// One server, at `node`.
Upstream::Server ReadServer(const Source& source, const Node& node, const std::string& pointer) {
  if (node.kind != Node::Kind::kString)
    throw source.document.ErrorAt(node.offset, pointer,
                                  "expected \"unix:PATH\" or \"HOST:PORT\", got " + Describe(node));
  try {
    const Address address = SplitAddress(node.string);
    if (address.unix_path.empty() && address.port == 0)
      throw std::invalid_argument("expected a port from 1 to 65535");
    Upstream::Server server{"", address.host, address.port};
    if (!address.unix_path.empty()) server.unix_path = source.Absolute(address.unix_path);
    return server;
  } catch (const std::invalid_argument& error) {
    throw source.document.ErrorAt(node.offset, pointer, error.what());
  }
}

void ReadServers(const Source& source, Object& object, std::string_view key, Upstream& upstream) {
  object.ForEach(key, [&](const Node& item, const std::string& pointer) {
    upstream.servers.push_back(ReadServer(source, item, pointer));
  });
  if (upstream.servers.empty())
    object.Refuse(key, "expected at least one \"unix:PATH\" or \"HOST:PORT\"");
}

void ReadCommand(const Source& source, Object& object, Upstream& upstream) {
  object.ForEach("spawn", [&](const Node& item, const std::string& pointer) {
    if (item.kind != Node::Kind::kString || item.string.find('\0') != std::string::npos)
      throw source.document.ErrorAt(item.offset, pointer,
                                    "expected a string, got " + Describe(item));
    upstream.command.push_back(item.string);
  });
  if (upstream.command.empty() || upstream.command.front().empty())
    object.Refuse("spawn",
                  "expected an executable and its arguments, such as [\"/usr/bin/php-cgi\"]");
  std::string& executable = upstream.command.front();
  executable = source.Absolute(executable);
  std::error_code error;
  if (!std::filesystem::is_regular_file(executable, error))
    object.Refuse("spawn", "no such file: " + executable);
}

void ReadProcesses(const Source& source, Object& object, Upstream& upstream) {
  ReadCommand(source, object, upstream);
  object.Read("min", upstream.min_processes, 0, kMostProcesses);
  object.Read("max", upstream.max_processes, 1, kMostProcesses);
  object.Read("requests", upstream.requests, 0, UINT32_MAX);
  if (object.Find("directory") != nullptr) {
    object.Read("directory", upstream.directory);
    upstream.directory = source.Absolute(upstream.directory);
    std::error_code error;
    if (!std::filesystem::is_directory(upstream.directory, error))
      object.Refuse("directory", "no such directory: " + upstream.directory);
  }
  ReadGroup(object, "environment",
            [&](Object& group) { ReadEnvironment(group, upstream.environment); });
  if (upstream.min_processes > upstream.max_processes)
    object.Refuse("min",
                  "is more than \"max\", which is " + std::to_string(upstream.max_processes));
}

void ReadDetails(const Source& source, Object& object, Upstream& upstream) {
  object.ReadDuration("idle", upstream.idle, milliseconds(100), kDay);
  const bool spawns = object.Find("spawn") != nullptr;
  if (spawns && object.Find("servers") != nullptr)
    object.Refuse("servers", "cannot stand beside \"spawn\"");
  if (spawns) {
    ReadProcesses(source, object, upstream);
  } else if (object.Find("servers") != nullptr) {
    ReadServers(source, object, "servers", upstream);
    object.Read("keep", upstream.keep, 0, kMostConnections);
    object.Read("connections", upstream.connections, 0, kMostConnections);
    if (upstream.connections != 0 && upstream.keep > upstream.connections)
      object.Refuse(
          "keep", "is more than \"connections\", which is " + std::to_string(upstream.connections));
  }
  object.Done();  // before what is missing: a misspelt key is unknown
  if (upstream.servers.empty() && !spawns)
    object.Refuse("", "needs \"servers\": [ADDRESS...] or \"spawn\": [EXECUTABLE, ARGUMENT...]");
}

}  // namespace

void ReadUpstream(const Source& source, Object& route, Upstream& upstream) {
  const Node* node = route.Find("fastcgi");
  if (node->kind == Node::Kind::kObject) {
    ReadGroup(route, "fastcgi", [&](Object& details) { ReadDetails(source, details, upstream); });
  } else if (node->kind == Node::Kind::kArray) {
    ReadServers(source, route, "fastcgi", upstream);
  } else {
    upstream.servers.push_back(ReadServer(source, *node, route.PointerTo("fastcgi")));
  }
}

}  // namespace cogi::config
