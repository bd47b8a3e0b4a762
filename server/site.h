// Handlers for a directory: Site, where a file named *.cgi or lying below a cgi-bin/ is a program
// and everything else static and never executed; and Programs, where each file is a program.
// May yield in Serve().
#ifndef COGI_SERVER_SITE_H_
#define COGI_SERVER_SITE_H_

#include <string>
#include <string_view>

#include "cgi/handler.h"
#include "coroutine/deadline.h"
#include "server/document_root.h"
#include "server/program_runner.h"
#include "server/static_files.h"

namespace cogi::server {

// FoundProgram is the program that a path names, with the rest as PATH_INFO.
struct FoundProgram {
  enum class Kind : uint8_t { kNone, kProgram, kMissing, kForbidden, kNoRoom };
  Kind kind = Kind::kNone;     // kNone: no program's path at all
  std::string_view script;     // of the path, relative to the root
  std::string_view path_info;  // "" or "/..."
  struct stat status {};
};

// FindProgram() walks `path` (relative to the root) to the first regular file that is a program's:
// any with `all`, else one that is named *.cgi or lies below a directory cgi-bin. Shortest first,
// as RFC 3875 3.2 splits a path.
[[nodiscard]] FoundProgram FindProgram(const DocumentRoot& root, std::string_view path, bool all);

class Site final : public cgi::Handler {
 public:
  Site(const config::Route& route, const config::Pool& pool, Runner& runner,
       LocalRedirect redirect);
  void Serve(cgi::Request& request, cgi::Response& response) override;
  void End(cgi::Deadline deadline) override { programs_.End(deadline); }

 private:
  DocumentRoot root_;
  StaticFiles files_;
  ProgramRunner programs_;
  std::string prefix_;
};

// Programs serves a route of the form "program": its file is one program, which answers for all
// paths of the route, or a directory of programs.
class Programs final : public cgi::Handler {
 public:
  Programs(const config::Route& route, const config::Pool& pool, Runner& runner,
           LocalRedirect redirect);
  void Serve(cgi::Request& request, cgi::Response& response) override;
  void End(cgi::Deadline deadline) override { programs_.End(deadline); }
  // Check() tells why the route cannot work: "" if it can.
  [[nodiscard]] std::string Check();

 private:
  void ServeFile(cgi::Request& request, cgi::Response& response);
  [[nodiscard]] bool LookAtFile();

  const bool by_exec_;  // any executable may be the program
  std::string file_;
  bool is_directory_;
  DocumentRoot root_;      // the directory, or that of the file
  struct stat status_ {};  // of the file, as LookAtFile() found it
  coroutine::Deadline look_again_{};
  ProgramRunner programs_;
  std::string prefix_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_SITE_H_
