// "confine": the chroot of a pool and its system calls.
#include "config/load.h"
#include "config/sections.h"

namespace cogi::config {
namespace {

bool IsWord(const std::string& log) {
  return log == "stdout" || log == "stderr" || log == "off" || log.empty();
}

// Calls visit(path) for every path of a route that a worker opens.
template <class Visit>
void ForEachPath(Route& route, Visit visit) {
  if (!route.file.empty()) visit(route.file);
  if (!route.root.empty()) visit(route.root);
  if (!route.auth.users.empty()) visit(route.auth.users);
  for (auto& [status, page] : route.error_pages) visit(page);
  for (Upstream::Server& server : route.upstream.servers)
    if (!server.unix_path.empty()) visit(server.unix_path);
  if (route.upstream.command.empty()) return;
  visit(route.upstream.command.front());
  if (route.upstream.directory != "/") visit(route.upstream.directory);
}

bool LiesBelow(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

// Of a path below the directory: what is left of it.
void Strip(std::string& path, const std::string& directory) {
  path.erase(0, directory.size());
  if (path.empty()) path.push_back('/');
}

std::string Outside(const std::string& path, const std::string& chroot) {
  return path + " lies outside of the chroot " + chroot + ", where no worker finds it";
}

void ReadChroot(const Source& source, Object& object, std::string& chroot) {
  std::string directory;
  object.Read("chroot", directory);
  if (directory.empty()) return;
  chroot = source.Absolute(directory);
  while (chroot.ends_with('/')) chroot.pop_back();
  if (chroot.empty()) object.Refuse("chroot", "the root directory confines nobody");
  std::error_code error;
  if (!std::filesystem::is_directory(chroot, error))
    object.Refuse("chroot", "no such directory: " + chroot);
}

}  // namespace

void ReadConfinement(const Source& source, Object& object, Pool& pool) {
  using Seccomp = Confinement::Seccomp;
  Confinement& confine = pool.confine;
  ReadGroup(object, "confine", [&](Object& group) {
    ReadChroot(source, group, confine.chroot);
    group.Read("no_new_privileges", confine.no_new_privileges);
    group.ReadEnum<Seccomp>(
        "seccomp", confine.seccomp,
        {{"off", Seccomp::kOff}, {"basic", Seccomp::kBasic}, {"no-exec", Seccomp::kNoExec}});
    group.Done();
    if (confine.seccomp != Seccomp::kOff && !confine.no_new_privileges)
      group.Refuse(
          "seccomp",
          "needs \"no_new_privileges\": a filter must not reach what becomes more than it");
  });
  if (confine.chroot.empty()) return;
  if (pool.user.empty())
    object.Refuse("confine", "a chroot needs \"user\" beside it: root can leave it");
  for (const std::string& log : {pool.log.access, pool.log.error})
    if (!IsWord(log) && !LiesBelow(log, confine.chroot))
      object.Refuse("log", Outside(log, confine.chroot));
}

void CheckConfined(const Source& source, const Node& node, const std::string& pointer,
                   const Pool& pool, const Route& route) {
  const Confinement& confine = pool.confine;
  const bool starts = route.form == Form::kExec || !route.upstream.command.empty();
  if (starts && confine.seccomp == Confinement::Seccomp::kNoExec)
    throw source.document.ErrorAt(
        node.offset, pointer,
        "starts processes, which \"seccomp\": \"no-exec\" denies; expected \"basic\" there");
  if (confine.chroot.empty()) return;
  Route copy = route;
  ForEachPath(copy, [&](const std::string& path) {
    if (!LiesBelow(path, confine.chroot))
      throw source.document.ErrorAt(node.offset, pointer, Outside(path, confine.chroot));
  });
}

Pool SeenFromInside(Pool pool) {
  const std::string& chroot = pool.confine.chroot;
  if (chroot.empty()) return pool;
  for (std::string* log : {&pool.log.access, &pool.log.error})
    if (!IsWord(*log)) Strip(*log, chroot);
  for (Route& route : pool.routes)
    ForEachPath(route, [&](std::string& path) { Strip(path, chroot); });
  return pool;
}

}  // namespace cogi::config
