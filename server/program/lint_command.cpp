// The command line and the output of `cogi lint`.
#include <stdlib.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "server/program/lint.h"
#include "server/program/lint_trial.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr char kUsage[] =
    "usage: cogi lint MODULE [--query STRING] [--body FILE] [--env NAME=VALUE]... [--time SECONDS] "
    "[--no-trial]\n";

constexpr int kMostSeconds = 3600;

struct LintArguments {
  std::string path;
  TrialRequest request;
  bool trial = true;
};

bool Parse(const std::vector<std::string>& args, LintArguments* arguments) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    const bool has_next = i + 1 < args.size();
    if (word == "--no-trial") {
      arguments->trial = false;
    } else if (word == "--query" && has_next) {
      arguments->request.query = args[++i];
    } else if (word == "--time" && has_next) {
      int seconds = 0;
      const std::string& text = args[++i];
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
      if (error != std::errc() || *end != '\0' || seconds < 1 || seconds > kMostSeconds) {
        std::fprintf(stderr, "cogi lint: --time takes 1 to %d seconds\n", kMostSeconds);
        return false;
      }
      arguments->request.limit = std::chrono::seconds(seconds);
    } else if (word == "--body" && has_next) {
      std::ifstream file(args[++i], std::ios::binary);
      if (!file) {
        std::fprintf(stderr, "cogi lint: cannot read %s\n", args[i].c_str());
        return false;
      }
      arguments->request.body.assign(std::istreambuf_iterator<char>(file), {});
    } else if (word == "--env" && has_next && args[i + 1].find('=') != std::string::npos) {
      const std::string& text = args[++i];
      const size_t sign = text.find('=');
      arguments->request.environment.emplace_back(text.substr(0, sign), text.substr(sign + 1));
    } else if (!word.starts_with("-") && arguments->path.empty()) {
      arguments->path = word;
    } else {
      std::fputs(kUsage, stderr);
      return false;
    }
  }
  if (arguments->path.empty()) std::fputs(kUsage, stderr);
  return !arguments->path.empty();
}

std::string Size(uint64_t bytes) {
  char text[32];
  if (bytes < 10 * 1024)
    std::snprintf(text, sizeof text, "%llu bytes", static_cast<unsigned long long>(bytes));
  else
    std::snprintf(text, sizeof text, "%.1f KiB", static_cast<double>(bytes) / 1024);
  return text;
}

std::string EndOf(const hooks::ProgramResult& result, std::chrono::seconds limit) {
  switch (result.end) {
    case hooks::ProgramEnd::kExited:
      return Concat("exit status ", result.status);
    case hooks::ProgramEnd::kAborted:
      return "aborted";
    case hooks::ProgramEnd::kSignalled:
      return Concat("ended by signal ", result.status, " (", strsignal(result.status), ")");
    case hooks::ProgramEnd::kCancelled:
      return Concat("not finished within ", limit.count(), " s, and cancelled");
    case hooks::ProgramEnd::kStuck:
      return Concat("not finished within ", limit.count(),
                    " s, and ended while it computed (a server's watchdog does so after "
                    "stall.restart)");
  }
  return "";
}

void PrintTrial(const Trial& trial, std::chrono::seconds limit) {
  for (const std::string& line : trial.errors) std::printf("  stderr: %s\n", line.c_str());
  std::printf("trial request: %s, %s of output%s%s\n", EndOf(trial.result, limit).c_str(),
              Size(trial.output).c_str(), trial.header_error.empty() ? "" : "; ",
              trial.header_error.c_str());
  if (trial.stack != 0) std::printf("  stack: %s\n", Size(trial.stack).c_str());
  std::printf("  heap: %s at most, %zu blocks left to be freed at its end\n",
              Size(trial.result.peak_heap).c_str(), trial.result.leaked_blocks);
}

std::string Absolute(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string absolute = resolved;
  std::free(resolved);
  return absolute;
}

}  // namespace

int RunLint(const std::vector<std::string>& args) {
  LintArguments arguments;
  if (!Parse(args, &arguments)) return 2;
  LintReport report;
  std::string error;
  const std::string path = Absolute(arguments.path);
  if (!LintModule(path, &report, &error)) {
    std::fprintf(stderr, "cogi lint: %s\n", error.c_str());
    return 2;
  }
  for (const LintFinding& finding : report.findings)
    std::printf("%s: %s: %s: %s\n  mend: %s\n", arguments.path.c_str(), finding.kind.c_str(),
                finding.symbol.c_str(), finding.what.c_str(), finding.mend.c_str());
  std::printf("%s: %zu found; %s of static data, each request has its own\n",
              arguments.path.c_str(), report.findings.size(), Size(report.static_bytes).c_str());
  if (arguments.trial && report.accepts_fcgi) {
    std::puts("no trial request: it is a libfcgi program, which waits for requests");
  } else if (arguments.trial) {
    Trial trial;
    if (!RunTrial(path, arguments.request, &trial, &error)) {
      std::fprintf(stderr, "cogi lint: %s\n", error.c_str());
      return 2;
    }
    PrintTrial(trial, std::chrono::duration_cast<std::chrono::seconds>(arguments.request.limit));
  }
  return report.findings.empty() ? 0 : 1;
}

}  // namespace cogi::server
