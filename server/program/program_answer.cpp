#include "server/program/program_answer.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "server/text.h"

namespace cogi::server {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

void LogProgram(const ProgramOptions& options, const cgi::Request& request, std::string_view line,
                ProgramLine kind) {
  if (options.log) return options.log(request, line, kind);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

namespace {

// Where it happened: the program's frames as far as they have a name or at least a module,
// innermost first, and how many of a deep stack are not shown.
std::string PlaceOf(const hooks::ProgramResult& result, const std::string& path) {
  std::string text;
  for (int i = 0; i < result.frame_count; ++i) {
    if (i == hooks::ProgramResult::kInnermost && result.frames_left_out > 0)
      text += Concat(", ", result.frames_left_out, " more");
    Dl_info where{};
    if (dladdr(result.frames[i], &where) == 0 || where.dli_fname == nullptr) continue;
    // A module is loaded from memory, which has no name.
    const std::string_view file = where.dli_fname;
    const bool module = file.starts_with("/proc/self/fd/");
    const auto offset = reinterpret_cast<uintptr_t>(result.frames[i]) -
                        reinterpret_cast<uintptr_t>(where.dli_fbase);
    text += Concat(
        text.empty() ? "; at " : ", ", where.dli_sname != nullptr ? where.dli_sname : "?", " (",
        module ? std::string_view(path).substr(path.rfind('/') + 1) : file, "+", offset, ")");
  }
  return text;
}

}  // namespace

void FailProgram(const std::string& path, const ProgramOptions& options, cgi::Request& request,
                 cgi::Response& response, int status, std::string_view reason) {
  LogProgram(options, request, Concat(path, ": ", reason), ProgramLine::kFailure);
  if (response.head_sent() || !response.Reset()) return response.Abort();
  if (options.error_page) return options.error_page(request, response, status);
  response.SetStatus(status);
  response.SetHeader("Content-Type", "text/plain");
  response.Write(Concat("Error ", status, "\n"));
}

void AnswerProgram(const std::string& path, const ProgramOptions& options, ResponseOutput& output,
                   const hooks::ProgramResult& result, cgi::Request& request,
                   cgi::Response& response) {
  const auto fail = [&](int status, std::string_view reason) {
    FailProgram(path, options, request, response, status, reason);
  };
  const std::string place = result.crashed ? PlaceOf(result, path) : std::string();
  const bool silent = output.empty();
  output.Finish();
  const cgi::CgiHeaderParser& header = output.header();
  switch (result.end) {
    case hooks::ProgramEnd::kAborted:
      return fail(500, Concat("aborted", place));
    case hooks::ProgramEnd::kSignalled:
      return fail(500, Concat("ended by signal ", result.status, " (", strsignal(result.status),
                              ")", place));
    case hooks::ProgramEnd::kStuck:
      return fail(504, Concat("computed for too long, and was ended", place));
    case hooks::ProgramEnd::kCancelled:
      // Whoever cancelled says so, in the log and to the client.
      if (response.Reset())
        response.SetStatus(504);
      else
        response.Abort();
      return;
    case hooks::ProgramEnd::kExited:
      break;
  }
  if (output.no_memory()) return fail(503, "there was no memory for what it wrote");
  if (output.over_limit())
    return fail(502, Concat("wrote more than ", options.max_output, " bytes"));
  if (result.status != 0 && silent)
    return fail(500, Concat("exit status ", result.status, " without any output"));
  if (result.status != 0)
    LogProgram(options, request, Concat(path, ": exit status ", result.status),
               ProgramLine::kStatus);
  if (header.state() != cgi::CgiHeaderParser::State::kDone) return fail(502, header.error());
  if (!output.local_redirect()) return;
  if (!options.local_redirect) return fail(500, "a local redirect, which this route cannot follow");
  const std::string location(header.location());
  options.local_redirect(request, response, location);
}

}  // namespace cogi::server
