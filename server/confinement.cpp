#include "server/confinement.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <ctime>
#include <vector>

#include "server/listener.h"
#include "server/text.h"

namespace cogi::server {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the audit architecture of this CPU is not known here"
#endif

// What administers the machine, looks into other processes, or is a wide way into the kernel that
// neither the server nor a web program has business with.
constexpr long kAdministration[] = {
    SYS_acct,
    SYS_add_key,
    SYS_adjtimex,
    SYS_bpf,
    SYS_chroot,
    SYS_clock_adjtime,
    SYS_clock_settime,
    SYS_delete_module,
    SYS_fanotify_init,
    SYS_finit_module,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fsopen,
    SYS_fspick,
    SYS_init_module,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    SYS_kcmp,
    SYS_kexec_load,
    SYS_keyctl,
    SYS_lookup_dcookie,
    SYS_mount,
    SYS_mount_setattr,
    SYS_move_mount,
    SYS_move_pages,
    SYS_name_to_handle_at,
    SYS_nfsservctl,
    SYS_open_by_handle_at,
    SYS_open_tree,
    SYS_perf_event_open,
    SYS_pidfd_getfd,
    SYS_pivot_root,
    SYS_process_madvise,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    SYS_quotactl,
    SYS_reboot,
    SYS_request_key,
    SYS_setdomainname,
    SYS_sethostname,
    SYS_setns,
    SYS_settimeofday,
    SYS_swapoff,
    SYS_swapon,
    SYS_syslog,
    SYS_umount2,
    SYS_unshare,
    SYS_userfaultfd,
    SYS_vhangup,
#if defined(__x86_64__)
    SYS_ioperm,
    SYS_iopl,
    SYS_modify_ldt,
    SYS_sysfs,
    SYS_uselib,
    SYS_ustat,
#endif
};

constexpr uint32_t kNamespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                                 CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;

// A program of the kernel's packet filter, which looks at the number of each system call.
class Filter {
 public:
  Filter() {
    Load(offsetof(seccomp_data, arch));
    DenyUnlessEqual(kArchitecture);
    Load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    constexpr uint32_t kX32 = 0x40000000;  // numbers of another binary interface
    Add(BPF_JMP | BPF_JGE | BPF_K, kX32, 0, 1);
    Return(SECCOMP_RET_ERRNO | EPERM);
#endif
  }
  void Deny(long number, uint32_t error = EPERM) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1);
    Return(SECCOMP_RET_ERRNO | error);
  }
  // Denies new namespaces. clone3() takes its flags where no filter can look: it "does not exist",
  // and libc uses clone().
  void DenyNamespaces() {
    Deny(SYS_clone3, ENOSYS);
    Add(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    Load(offsetof(seccomp_data, args));
    Add(BPF_JMP | BPF_JSET | BPF_K, kNamespaces, 0, 1);
    Return(SECCOMP_RET_ERRNO | EPERM);
    Return(SECCOMP_RET_ALLOW);
  }
  void Install() {
    Return(SECCOMP_RET_ALLOW);
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
      throw StartError(Concat("the filter of system calls cannot be installed: ", ErrnoText(errno),
                              "; set \"seccomp\" to \"off\" if this kernel has none"));
  }

 private:
  void Add(unsigned code, uint32_t value, uint8_t if_true, uint8_t if_false) {
    code_.push_back({static_cast<uint16_t>(code), if_true, if_false, value});
  }
  // The low half of a field: all that is looked at here are 32 bits.
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset), 0, 0); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, action, 0, 0); }
  void DenyUnlessEqual(uint32_t value) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    Return(SECCOMP_RET_ERRNO | EPERM);
  }

  std::vector<sock_filter> code_;
};

}  // namespace

void EnterChroot(const std::string& directory) {
  if (directory.empty()) return;
  tzset();
  if (chdir(directory.c_str()) != 0 || chroot(".") != 0 || chdir("/") != 0)
    throw StartError(Concat("cannot make ", directory, " the root directory: ", ErrnoText(errno),
                            errno == EPERM ? "; only root can" : ""));
}

void Confine(const config::Confinement& settings) {
  if (!settings.no_new_privileges) return;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    throw StartError(Concat("new privileges cannot be forbidden: ", ErrnoText(errno)));
  if (settings.seccomp == config::Confinement::Seccomp::kOff) return;
  Filter filter;
  for (const long number : kAdministration) filter.Deny(number);
  filter.DenyNamespaces();
  if (settings.seccomp == config::Confinement::Seccomp::kNoExec)
    for (const long number : {SYS_execve, SYS_execveat}) filter.Deny(number);
  filter.Install();
}

}  // namespace cogi::server
