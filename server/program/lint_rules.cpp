#include "server/program/lint_rules.h"

#include <algorithm>

namespace cogi::server {
namespace {

constexpr std::string_view kByExec = "run the program by exec";

constexpr LintRule kRules[] = {
    {"thread", "pthread_create thrd_create _ZNSt6thread15_M_start_thread* clone __clone",
     "starts a thread of the worker: it goes on when the request has ended, and sees the static "
     "data "
     "of whichever request has the turn",
     "join every thread before main() ends and give it no static data, or run the program by exec"},
    {"blocks",
     "msgrcv msgsnd semop semtimedop mq_receive mq_timedreceive "
     "mq_send mq_timedsend aio_suspend aio_suspend64 lio_listio lio_listio64 getaddrinfo_a "
     "gai_suspend res_query res_search res_nquery res_nsearch res_send res_nsend __res_query "
     "__res_search __res_nquery __res_nsearch __res_send __res_nsend pthread_barrier_wait "
     "pthread_timedjoin_np pthread_clockjoin_np cnd_wait cnd_timedwait io_getevents "
     "io_uring_enter io_uring_wait_cqe* sync syncfs sync_file_range tcdrain getpass wordexp",
     "is not hooked: while it waits, every request of the worker waits",
     "use a call that hooks/README.md lists, or run the program by exec"},
    {"shared", "rand srand random srandom initstate setstate",
     "draws from one sequence of the whole worker, where a new process starts its own",
     "use rand_r(), random_r() or <random>"},
    {"shared", "drand48 erand48 lrand48 nrand48 mrand48 jrand48 srand48 seed48 lcong48",
     "draws from one sequence of the whole worker, where a new process starts its own",
     "use drand48_r() and its kin, or <random>"},
    {"shared", "strtok", "remembers its place in libc, which another request changes",
     "use strtok_r()"},
    {"shared", "localtime gmtime ctime asctime",
     "returns libc's one buffer, which another request overwrites while this one waits",
     "use localtime_r(), gmtime_r(), strftime()"},
    {"shared",
     "getpwnam getpwuid getgrnam getgrgid getspnam getservbyname getservbyport getprotobyname "
     "getprotobynumber getnetbyname getnetbyaddr fgetpwent fgetgrent getmntent ttyname ptsname "
     "getlogin hcreate hsearch hdestroy ecvt fcvt crypt encrypt setkey inet_ntoa ether_ntoa "
     "ether_aton",
     "returns libc's one buffer, which another request overwrites while this one waits",
     "use its _r form, or copy the result before the program waits"},
    {"shared",
     "getpwent setpwent endpwent getgrent setgrent endgrent getspent setspent getutent setutent "
     "getutxent setutxent getservent setservent getprotoent setprotoent getnetent setnetent "
     "gethostent sethostent getusershell setusershell getfsent setfsent tmpnam l64a getdate",
     "keeps a place that all requests of the worker share", "take what you need without a wait"},
    {"shared", "tzset", "takes the time zone for all requests of the worker",
     "do not change TZ, or run the program by exec"},
    {"shared", "textdomain bindtextdomain bind_textdomain_codeset",
     "chooses the catalogue of messages for all requests of the worker", kByExec},
    {"shared", "openlog setlogmask closelog",
     "is kept by libc for the whole worker, and a name given to openlog() is read after the "
     "request "
     "has ended",
     "write to stderr: its lines go to the error log"},
    {"shared",
     "_ZSt13set_terminatePFvvE _ZSt15set_new_handlerPFvvE pthread_atfork __register_atfork "
     "register_printf_specifier register_printf_function register_printf_modifier sigaltstack",
     "leaves the address of the program's code with the whole worker", kByExec},
    {"shared", "dlopen dlmopen",
     "loads a library whose static data all requests share; it stays loaded",
     "link the library into the module"},
    {"worker",
     "chroot pivot_root unshare setns setuid seteuid setreuid setresuid setgid setegid setregid "
     "setresgid setgroups initgroups setfsuid setfsgid setrlimit setrlimit64 prlimit prlimit64 "
     "nice "
     "setpriority sched_setaffinity sched_setscheduler sched_setparam setsid setpgid setpgrp prctl "
     "personality mlockall munlockall ptrace sethostname clock_settime settimeofday brk sbrk "
     "mallopt "
     "mount umount umount2 capset setdomainname",
     "changes the whole worker, not this request", kByExec},
    {"worker", "sigqueue pthread_kill tgkill pthread_cancel timer_create",
     "sends its signal to the worker, not to this request",
     "use kill(), raise(), alarm() or setitimer(), which are the request's own"},
    {"worker", "daemon argp_parse argp_usage argp_error argp_failure argp_state_help error_at_line",
     "may end the process inside libc, and with it the worker", kByExec},
    {"exec", "fexecve execveat", "replaces the worker unless a fork() came before it",
     "call execve(), or call it in a child only"},
};

bool Names(std::string_view list, std::string_view symbol) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    const std::string_view name = list.substr(0, end);
    if (name == symbol || (name.ends_with('*') && symbol.starts_with(name.substr(0, end - 1))))
      return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

}  // namespace

std::span<const LintRule> LintRules() { return kRules; }

const LintRule* FindRule(std::string_view symbol) {
  for (const LintRule& rule : kRules)
    if (Names(rule.symbols, symbol)) return &rule;
  return nullptr;
}

}  // namespace cogi::server
