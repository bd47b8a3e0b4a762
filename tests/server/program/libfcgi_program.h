// A libfcgi program in a test: a small accept loop, compiled, and asked many things at once.
#ifndef COGI_TESTS_SERVER_PROGRAM_LIBFCGI_PROGRAM_H_
#define COGI_TESTS_SERVER_PROGRAM_LIBFCGI_PROGRAM_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/program/libfcgi_pool.h"
#include "tests/server/program/exchange.h"

namespace cogi::server {

class LibfcgiTest : public ProgramTest {
 protected:
  // Ends when all requests have: accept loops go on.
  void Finish() override {
    scheduler_.RunUntil([this] {
      return std::all_of(exchanges_.begin(), exchanges_.end(),
                         [](const auto& exchange) { return exchange->done; });
    });
  }
  // A program whose loop runs `statements` for each request `r`.
  static std::string Loop(const std::string& statements, const std::string& before = "",
                          const std::string& after = "") {
    return "#define _GNU_SOURCE\n#include <fcgiapp.h>\n#include <stddef.h>\n#include "
           "<stdint.h>\n#include <stdio.h>\n"
           "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <signal.h>\n"
           "#define HEAD FCGX_PutS(\"Content-Type: text/plain\\r\\n\\r\\n\", r.out)\n" +
           before +
           "\nint main(void) {\n  FCGX_Request r;\n  if (FCGX_Init() != 0) return 1;\n"
           "  FCGX_InitRequest(&r, 0, 0);\n  while (FCGX_Accept_r(&r) == 0) {\n" +
           statements + "\n    FCGX_Finish_r(&r);\n  }\n" + after + "  return 0;\n}\n";
  }
  cgi::Handler* LoadLoop(const std::string& name, const std::string& source,
                         ProgramOptions options = {}, std::vector<std::string> flags = {}) {
    flags.push_back("-lfcgi");
    options.log_program = [this](const std::string&, std::string_view line, ProgramLine) {
      lines_.emplace_back(line);
    };
    return Load(Make(name, source, std::move(flags)), std::move(options));
  }
  static size_t InstancesOf(cgi::Handler* handler) {
    return dynamic_cast<LibfcgiPool*>(handler)->instances();
  }

  std::vector<std::string> lines_;
};

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_PROGRAM_LIBFCGI_PROGRAM_H_
