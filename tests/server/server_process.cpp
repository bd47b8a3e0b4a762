#include "tests/server/server_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <thread>

namespace cogi::server {
namespace {

pid_t Spawn(const std::vector<std::string>& arguments, const std::string& output,
            int handed_over = -1) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(open("/dev/null", O_RDONLY), 0);
  dup2(out, 1);
  dup2(out, 2);
  if (handed_over >= 0) dup2(handed_over, 3);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::string> words = {COGI_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(COGI_BINARY, argv.data());
  _exit(127);
}

}  // namespace

bool WaitUntil(const std::function<bool()>& done, int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const std::string stat = ReadFile("/proc/" + std::string(entry->d_name) + "/stat");
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(stat.substr(name_end + 1));
    char state = 0;
    pid_t ppid = 0;
    fields >> state >> ppid;
    if (ppid == parent && state != 'Z') children.push_back(pid);
  }
  closedir(proc);
  return children;
}

ServerProcess::ServerProcess(const std::vector<std::string>& arguments, int handed_over)
    : output_path_(folder_ / "output"), pid_(Spawn(arguments, output_path_, handed_over)) {}

ServerProcess::~ServerProcess() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool ServerProcess::WaitServing(size_t workers) {
  return WaitOutput(" (pool ") && WaitUntil([&] { return this->workers().size() == workers; });
}

bool ServerProcess::WaitOutput(const std::string& text, int seconds) const {
  bool ended = false;
  return WaitUntil(
             [&] {
               if (output().find(text) != std::string::npos) return true;
               siginfo_t info{};
               ended = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) ==
                           0 &&
                       info.si_pid == pid_;
               return ended;
             },
             seconds) &&
         output().find(text) != std::string::npos;
}

int ServerProcess::port(size_t nth, const std::string& protocol) const {
  const std::string text = output();
  const std::string mark = " on " + protocol + ":";
  size_t at = 0;
  for (size_t count = 0; count <= nth; ++count) {
    at = text.find(mark, at);
    if (at == std::string::npos) return 0;
    at += mark.size();
  }
  at = text.find(':', at);
  return std::atoi(text.c_str() + at + 1);
}

void ServerProcess::Signal(int signal) const { kill(pid_, signal); }

int ServerProcess::End(int seconds) {
  int status = 0;
  if (!WaitUntil([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, seconds)) return -1;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen(("timeout 20 " + command + " 2>&1").c_str(), "r");
  std::string text;
  for (int byte; (byte = fgetc(pipe)) != EOF;) text += static_cast<char>(byte);
  pclose(pipe);
  return text;
}

int RunCogi(const std::vector<std::string>& arguments, std::string* output) {
  const Scratch folder;
  const pid_t pid = Spawn(arguments, folder / "output");
  int status = 0;
  const bool ended = WaitUntil([&] { return waitpid(pid, &status, WNOHANG) == pid; });
  if (!ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  *output = ReadFile(folder / "output");
  return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace cogi::server
