#include "server/program/compile.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string_view>

#include "server/program/elf_file.h"
#include "server/text.h"

namespace cogi::server {
namespace {

using Words = std::vector<std::string>;

// The part of every module that is ours: the note that makes it known before anything is loaded,
// and a word that leads to main() whatever its visibility is. It fails to link, as a program would,
// if there is no main().
constexpr const char* kSupport = R"(
  .section .note.cogi, "a", @note
  .balign 4
  .long 2f - 1f, 4f - 3f, 1
1: .asciz "cogi"
2: .balign 4
3: .long 1
4: .balign 4
  .section .data.rel.ro, "aw"
  .balign 8
  .globl cogi_program_main
  .type cogi_program_main, @object
  .size cogi_program_main, 8
cogi_program_main:
  .quad main
  .section .note.GNU-stack, "", @progbits
)";

struct Job {
  Words sources;
  Words compile_flags;  // for each source
  Words link_inputs;    // objects, libraries and linker flags, in their order
  std::string output;
  bool shared_libraries_may_lack_symbols = false;  // a sanitizer's runtime is the process's
};

bool IsCxx(std::string_view path) {
  for (const std::string_view suffix : {".cc", ".cpp", ".cxx", ".c++", ".C", ".cp", ".CPP"})
    if (path.ends_with(suffix)) return true;
  return false;
}

bool IsSource(std::string_view path) {
  return IsCxx(path) || path.ends_with(".c") || path.ends_with(".s") || path.ends_with(".S");
}

bool IsLinkInput(std::string_view word) {
  return word.starts_with("-l") || word.starts_with("-L") || word.starts_with("-Wl,") ||
         word.ends_with(".o") || word.ends_with(".a") || word.ends_with(".so") ||
         word.find(".so.") != word.npos;
}

// Flags whose argument is the next word.
bool TakesArgument(std::string_view word) {
  static constexpr std::array<std::string_view, 16> kFlags = {
      "-I", "-D",    "-U",  "-include", "-isystem", "-iquote", "-idirafter", "-imacros",
      "-x", "-arch", "-MF", "-MT",      "-MQ",      "-std",    "--param",    "-aux-info"};
  for (const std::string_view flag : kFlags)
    if (word == flag) return true;
  return false;
}

bool LinkFlagTakesArgument(std::string_view word) {
  return word == "-L" || word == "-l" || word == "-Xlinker" || word == "-u" || word == "-z" ||
         word == "-T";
}

// Parse() sorts the words of the command line. False after a message.
bool Parse(const Words& args, Job* job) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    const bool has_next = i + 1 < args.size();
    if (word == "-o" && has_next) {
      job->output = args[++i];
    } else if (word.starts_with("-o") && word.size() > 2) {
      job->output = word.substr(2);
    } else if (word == "-c" || word == "-S" || word == "-E" || word == "-shared") {
      std::fprintf(stderr, "cogi cc: %s makes no module; leave it out\n", word.c_str());
      return false;
    } else if (LinkFlagTakesArgument(word) && has_next) {
      job->link_inputs.push_back(word);
      job->link_inputs.push_back(args[++i]);
    } else if (TakesArgument(word) && has_next) {
      job->compile_flags.push_back(word);
      job->compile_flags.push_back(args[++i]);
    } else if (word == "-static" || word == "-pie" || word == "-no-pie" || word == "-fPIE" ||
               word == "-fpie") {
      continue;  // what a program is otherwise; a module is a shared object
    } else if (IsSource(word) && !word.starts_with("-")) {
      job->sources.push_back(word);
    } else if (IsLinkInput(word)) {
      job->link_inputs.push_back(word);
    } else {
      if (word.starts_with("-fsanitize=")) job->shared_libraries_may_lack_symbols = true;
      job->compile_flags.push_back(word);
    }
  }
  if (!job->output.empty() && (!job->sources.empty() || !job->link_inputs.empty())) return true;
  std::fputs("usage: cogi cc SOURCES... -o NAME.cgi [compiler flags]\n", stderr);
  return false;
}

// $CC and $CXX may hold several words ("ccache gcc").
Words Compiler(const char* variable, const char* standard) {
  const char* value = std::getenv(variable);
  std::string text = value != nullptr && *value != '\0' ? value : standard;
  Words words;
  for (size_t at = 0; (at = text.find_first_not_of(" \t", at)) != text.npos;) {
    const size_t end = std::min(text.find_first_of(" \t", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// RunCommand() runs a command to its end. Returns its exit status; 127 after a message if it cannot
// be started, 128 plus the signal if one ended it.
int RunCommand(const Words& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t child;
  const int error = ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ);
  if (error != 0) {
    std::fprintf(stderr, "cogi cc: cannot run the compiler %s: %s; install it, or set CC and CXX\n",
                 argv[0], ErrnoText(error));
    return 127;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A folder for what lies between sources and module; removed at the end.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& near) : path_(near + ".cogi-XXXXXX") {
    made_ = ::mkdtemp(path_.data()) != nullptr;
  }
  ~WorkFolder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    if (made_) ::rmdir(path_.c_str());
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] bool made() const { return made_; }
  std::string File(const std::string& name) { return files_.emplace_back(path_ + "/" + name); }

 private:
  std::string path_;
  bool made_;
  Words files_;
};

void AddAll(Words& to, const Words& more) { to.insert(to.end(), more.begin(), more.end()); }

// g++ makes inline statics unique in the process unless told not to; clang never does, and does not
// know the flag.
bool IsClang(const Words& compiler) { return compiler.back().find("clang") != std::string::npos; }

int CompileOne(const Job& job, const std::string& source, const std::string& object) {
  const bool cxx = IsCxx(source);
  Words command = cxx ? Compiler("CXX", "c++") : Compiler("CC", "cc");
  const bool clang = IsClang(command);
  AddAll(command, job.compile_flags);
  // Large frames touch every page on their way: an overflow hits the guard of its stack, and does
  // not step over it into somebody else's memory.
  AddAll(command, {"-fPIC", "-fstack-clash-protection"});
  if (cxx && !clang) AddAll(command, {"-fno-gnu-unique"});
  AddAll(command, {"-c", source, "-o", object});
  return RunCommand(command);
}

int Link(const Job& job, bool cxx, const Words& objects, const std::string& module) {
  Words command = cxx ? Compiler("CXX", "c++") : Compiler("CC", "cc");
  AddAll(command, job.compile_flags);
  AddAll(command, {"-shared", "-o", module});
  AddAll(command, objects);
  AddAll(command, job.link_inputs);
  AddAll(command, {"-Wl,-Bsymbolic", "-Wl,-z,now", "-Wl,-z,relro"});
  if (!job.shared_libraries_may_lack_symbols) AddAll(command, {"-Wl,-z,defs"});
  return RunCommand(command);
}

}  // namespace

int RunCompile(const std::vector<std::string>& args) {
  Job job;
  if (!Parse(args, &job)) return 2;
  WorkFolder folder(job.output);
  if (!folder.made()) {
    std::fprintf(stderr, "cogi cc: cannot write beside %s: %s\n", job.output.c_str(),
                 ErrnoText(errno));
    return 2;
  }
  const std::string support = folder.File("cogi_support.s");
  if (!(std::ofstream(support) << kSupport << std::flush)) {
    std::fprintf(stderr, "cogi cc: cannot write %s: %s\n", support.c_str(), ErrnoText(errno));
    return 2;
  }
  bool cxx = false;
  Words objects;
  Words sources = job.sources;
  sources.push_back(support);
  for (const std::string& source : sources) {
    cxx = cxx || IsCxx(source);
    objects.push_back(folder.File(Concat(objects.size(), ".o")));
    if (const int status = CompileOne(job, source, objects.back()); status != 0) return status;
  }
  const std::string module = folder.File("module");
  if (const int status = Link(job, cxx, objects, module); status != 0) return status;
  if (::rename(module.c_str(), job.output.c_str()) == 0) return 0;
  std::fprintf(stderr, "cogi cc: cannot write %s: %s\n", job.output.c_str(), ErrnoText(errno));
  return 2;
}

}  // namespace cogi::server
