#include "server/cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "server/control.h"
#include "server/master.h"
#include "server/process.h"
#include "server/program/compile.h"
#include "server/program/lint.h"
#include "server/version.h"

namespace cogi::server {
namespace {

struct ServeArguments {
  std::string what = "cogi.json";
  std::vector<std::string> listen;
  uint32_t workers = 0;
  std::string pid_file;
  bool allow_root = false;
  bool tls_dev = false;
};

bool IsDirectory(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The path as it will be found after the server has changed its directory, or a relative one's
// folder was renamed: as it is now.
std::string Absolute(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string absolute = resolved;
  std::free(resolved);
  return absolute;
}

int Serve(const ServeArguments& arguments) {
  PrepareProcess();
  MasterOptions options;
  options.what = arguments.what;
  options.allow_root = arguments.allow_root;
  options.directory = IsDirectory(arguments.what);
  const std::string path = Absolute(arguments.what);
  options.path = path;
  if (options.directory) {
    options.load = [path, arguments] {
      config::Settings settings =
          config::ForDirectory(path, arguments.listen, arguments.workers, arguments.tls_dev);
      settings.pid_file = arguments.pid_file;
      return settings;
    };
  } else if (!arguments.listen.empty() || arguments.workers != 0 || !arguments.pid_file.empty() ||
             arguments.tls_dev) {
    std::fprintf(stderr,
                 "cogi: --listen, --workers, --pid-file and --tls-dev go with a directory; with a "
                 "configuration they stand in %s\n",
                 arguments.what.c_str());
    return 2;
  } else {
    options.load = [path] { return config::Load(path); };
  }
  return Master(std::move(options)).Run();
}

int Check(const std::string& file) {
  try {
    std::fputs(config::RouteTable(config::Load(file)).c_str(), stdout);
    return 0;
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "%s\n", exception.what());
    return 1;
  }
}

}  // namespace

int Main(int argc, char** argv) {
  // The compiler's flags are its own: they are not looked at here.
  if (argc >= 2 && std::string_view(argv[1]) == "cc") return RunCompile({argv + 2, argv + argc});
  if (argc >= 3 && std::string_view(argv[1]) == "lint" && std::string_view(argv[2]) != "--help")
    return RunLint({argv + 2, argv + argc});

  CLI::App app("CGI and FastCGI web application server on stackful coroutines", "cogi");
  app.set_version_flag("--version", std::string("cogi ") + kVersion);
  app.require_subcommand(1);

  ServeArguments serve;
  CLI::App* serve_command = app.add_subcommand("serve", "serve a configuration or a directory");
  serve_command->add_option("WHAT", serve.what, "CONFIG.json or DIRECTORY")->capture_default_str();
  serve_command->add_option("--listen", serve.listen,
                            "http:HOST:PORT, fastcgi:HOST:PORT or fastcgi:unix:PATH; may be "
                            "repeated (default http:127.0.0.1:8080)");
  serve_command->add_option("--workers", serve.workers, "worker processes; 0: one per CPU");
  serve_command->add_option("--pid-file", serve.pid_file,
                            "where to write the master's pid, for cogi stop and cogi reload");
  serve_command->add_flag("--allow-root", serve.allow_root, "let workers run as root");

  serve_command->add_flag("--tls-dev", serve.tls_dev,
                          "https listeners with a certificate for localhost that is made at the "
                          "start (without --listen: https:127.0.0.1:8443)");

  std::string check_file;
  CLI::App* check_command =
      app.add_subcommand("check", "check a configuration and print its routes");
  check_command->add_option("CONFIG", check_file, "CONFIG.json")->required();

  std::string server = "cogi.json";
  bool wait = false;
  bool binary = false;
  constexpr const char* kServer = "CONFIG.json with a \"pid_file\", or a pid file";
  CLI::App* reload_command = app.add_subcommand("reload", "let a running server reload");
  reload_command->add_option("SERVER", server, kServer)->capture_default_str();
  reload_command->add_flag("--wait", wait, "until the new configuration serves; 1 if it does not");
  reload_command->add_flag("--binary", binary,
                           "let the cogi that lies in the server's place now take over");
  CLI::App* stop_command =
      app.add_subcommand("stop", "stop a running server; requests in flight are finished");
  stop_command->add_option("SERVER", server, kServer)->capture_default_str();

  app.add_subcommand("cc", "make an unmodified CGI program into a module that runs in process")
      ->footer("cogi cc SOURCES... -o NAME.cgi [compiler flags]");
  app.add_subcommand("lint", "say what of a module cannot be kept to one request, and try it once")
      ->footer(
          "cogi lint MODULE [--query STRING] [--body FILE] [--env NAME=VALUE]... [--time SECONDS] "
          "[--no-trial]\n"
          "Exit code 0: nothing was found, 1: something was, 2: it cannot be loaded");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (serve_command->parsed()) return Serve(serve);
  if (check_command->parsed()) return Check(check_file);
  if (reload_command->parsed()) return ReloadServer(server, wait, binary);
  if (stop_command->parsed()) return StopServer(server);
  return 0;
}

}  // namespace cogi::server
