"""Faults of libco's hooked calls: descriptors, sockets, names, the environment."""

from fault import fault

FD_TABLE = "hooks/fd_table.cpp"
DESCRIPTOR = "hooks/descriptor.cpp"
SOCKET = "hooks/socket.cpp"

FAULTS_OF_CALLS = [
    # Descriptors.
    fault("a descriptor of 102,400 or more is an access to a null pointer (#6)", """
          hooks_descriptor_test Descriptors.ThousandsOfDescriptorsWorkWhateverTheirNumber""",
          "a table for every number an int can hold (the changed one ends at 10,240: few may open 102,400)",
          [("hooks/fd_table.h", "    if (fd < 0) return nullptr;\n", "    if (fd < 0 || fd >= 10240) return nullptr;\n")]),
    fault("an entry of the table is overwritten without being freed", why_not="entries lie in the table itself and are not allocated"),
    fault("what is known of a number outlives a close() with hooks off", """
          hooks_descriptor_test Descriptors.AnUnhookedCloseForgetsTheDescriptorToo""",
          "the release by an unhooked close()", [(DESCRIPTOR, "    ForgetOutside(fd);\n", "")]),
    fault("the reader of a closed number is fed by the file that has it next", """
          hooks_descriptor_test Descriptors.ANumberThatIsGivenAgainDoesNotFeedTheOldReader""",
          "the look at the generation after a wake-up",
          [("hooks/blocking.h", "if (FdTable::Generation(fd_) == generation_) return true;", "return true;")]),
    fault("dup()licates are unknown: one fails with EAGAIN", "hooks_transparency_test dup: flags and timeouts are shared",
          "the sharing of what is known", [(FD_TABLE, "  Release(to);\n  Description* description = Get(from);",
                                            "  Release(to);\n  if (to >= 0) return;\n  Description* description = Get(from);")]),
    fault("dup2() over a descriptor that others wait for wakes nobody", """
          hooks_descriptor_test Descriptors.Dup2OverADescriptorWakesWhoWaitsForIt""",
          "the release of the number that is replaced",
          [(DESCRIPTOR, "  FdTable::Release(target);\n  const int result = duplicate();", "  const int result = duplicate();"),
           (FD_TABLE, "  Release(to);\n  Description* description = Get(from);", "  Description* description = Get(from);")]),
    fault("pipes are not known: a read fails with EAGAIN or blocks the thread", """
          hooks_transparency_test read: data that comes later on a pipe""",
          "pipes that wait as sockets do",
          [(DESCRIPTOR, "  made.nonblocking = (flags & O_NONBLOCK) != 0;", "  made.nonblocking = true;")]),
    fault("fcntl() fails for commands that it does not know (F_DUPFD_CLOEXEC, F_SETPIPE_SZ), hooks off included", """
          hooks_transparency_test fcntl: other commands reach the kernel
          (hooks_transparency_test fcntl: F_DUPFD, F_DUPFD_CLOEXEC)""",
          "the kernel's answer to the rest",
          [(DESCRIPTOR, "    default:\n      return real::fcntl(fd, command, argument);", "    default:\n      return -1;")]),
    fault("ioctl(FIONBIO) is not seen", "hooks_transparency_test ioctl: FIONBIO, FIONREAD, null, closed",
          "the look at FIONBIO", [(DESCRIPTOR, "request == FIONBIO ? FdTable::Get(fd) : nullptr", "request == 0 ? FdTable::Get(fd) : nullptr")]),
    # Sockets.
    fault("#41, #165: accept() blocks the thread", "hooks_libco_environment_test LibcoAccept.ParksOnlyItsCoroutine",
          "the wait of accept()", [(SOCKET, "  if (listener->PassesThrough()) {\n    accepted", "  if (true) {\n    accepted")]),
    fault("accept4() and SOCK_NONBLOCK are not known", "hooks_transparency_test accept4: flags, and flags that do not exist",
          "the note of the flag", [(SOCKET, "                             (flags & SOCK_NONBLOCK));", "                             0);")]),
    fault("#68: a write of 10 MB on an accepted descriptor blocks the thread", """
          hooks_libco_environment_test LibcoAccept.AWriteOfTenMegabytesOnAnAcceptedDescriptorParks""",
          "O_NONBLOCK of what is accepted", [(SOCKET, "  const int kernel_flags = flags | SOCK_NONBLOCK;", "  const int kernel_flags = flags;")]),
    fault("a read fails after a second that nobody asked for", """
          hooks_descriptor_test Descriptors.AReadWithoutATimeoutWaitsAsLongAsItTakes""",
          "no time-out by default", [(FD_TABLE, "  made->receive_timeout_ = 0;", "  made->receive_timeout_ = 1'000'000;")]),
    fault("SO_RCVTIMEO of 0, for ever, is taken for not at all", "hooks_transparency_test setsockopt: a timeout of zero waits for ever",
          "0 for ever", [(SOCKET, "    microseconds = time->tv_sec * 1'000'000 + time->tv_usec;\n",
                          "    microseconds = time->tv_sec * 1'000'000 + time->tv_usec;\n  if (microseconds == 0) microseconds = -1;\n")]),
    fault("#144: connect() says ETIMEDOUT where it was refused", """
          hooks_transparency_test connect: a port where nobody listens, then one where somebody does""",
          "the kernel's answer", [(SOCKET, "      wait.Charge();\n      return result;", "      wait.Charge();\n"
                                   "      if (result != 0) errno = ETIMEDOUT;\n      return result;")]),
    fault("connect() waits 75 s whatever SO_SNDTIMEO says", "hooks_transparency_test connect: SO_SNDTIMEO passes while the backlog is full",
          "the deadline of connect()", [(SOCKET, "  FdWait wait(fd, EPOLLOUT, description->send_timeout());\n  bool first", "  FdWait wait(fd, EPOLLOUT, 0);\n  bool first")]),
    fault("a datagram is sent twice at most, then the call fails", """
          hooks_transparency_test send: datagrams until the receiver is full, who then reads""",
          "the wait of send()", [("hooks/receive_send.cpp", "  if (!MayWait(description, flags, MSG_DONTWAIT))\n    return Direct([&] { return real::sendto",
                                  "  if (true)\n    return Direct([&] { return real::sendto")]),
    fault("a poll() that finds nothing leaves revents as they were", "hooks_transparency_test poll: timeout leaves no events; zero does not wait; negative waits",
          "the real poll() at the end", [("coroutine/event_loop.cpp", "  const long ready = sys::PollNow(fds, count);\n",
                                          "  const std::vector<pollfd> before(fds, fds + count);\n"
                                          "  const long ready = sys::PollNow(fds, count);\n"
                                          "  for (nfds_t i = 0; ready == 0 && i < count; ++i) fds[i] = before[i];\n"),
                                         ("hooks/poll_select.cpp", "  const int ready = real::poll(fds, count, 0);\n  if (ready != 0 || now) {",
                                          "  const int ready = coroutine::PollFds(fds, count, coroutine::Clock::now());\n  if (ready != 0 || now) {")]),
    fault("the same descriptor twice in a poll() counts once", "hooks_transparency_test poll: closed, negative, the same twice, hang-up, error",
          "the count of entries",
          [("coroutine/event_loop.cpp", "  if (ready >= 0) return static_cast<int>(ready);", "  if (ready >= 0) return ready > 1 ? 1 : static_cast<int>(ready);"),
           ("hooks/poll_select.cpp", "  const int ready = real::poll(fds, count, 0);\n  if (ready != 0 || now) {",
            "  const int ready = coroutine::PollFds(fds, count, coroutine::Clock::now());\n  if (ready != 0 || now) {")]),
    fault("#110, #118, #200: a program's own epoll blocks the thread", """
          hooks_descriptor_test Descriptors.AnEpollOfTheProgramsOwnParksOnlyItsCoroutine""",
          "the wait of epoll_wait()",
          [("hooks/epoll.cpp", "      const int ready = real::epoll_wait(epoll, events, room, 0);\n      if (ready",
            "      const int ready = real::epoll_wait(epoll, events, room, now ? 0 : -1);\n      if (ready")]),
    # Names.
    fault("#122: name look-ups block the thread (always, with today's libc)", """
          hooks_resolver_test Resolver.SilentServersEndWithTryAgainAndOthersGoOn""",
          "the park until the answer comes",
          [("hooks/dns_service.cpp", "    const WakeReason reason = coroutine::Park(coroutine::WaitKind::kName, 0, deadline);",
            "    const timespec second{1, 0};\n    while (coroutine::Clock::now() < deadline) real::nanosleep(&second, nullptr);\n"
            "    const WakeReason reason = coroutine::Park(coroutine::WaitKind::kName, 0, deadline);")]),
    fault("gethostbyname2(): concurrent coroutines get each other's answers", """
          hooks_resolver_test Resolver.ResultsOfGethostbynameAreTheCoroutinesOwn""",
          "a result for each coroutine",
          [("hooks/resolver_host.cpp", "results[coroutine::Id(self)];", "results[0];")]),
    fault("the results of gethostbyname() are never freed", "hooks_resolver_test Resolver.ResultsOfGethostbynameEndWithTheirCoroutine",
          "the sweep of results whose coroutine has ended", [("hooks/resolver_host.cpp", "  if (results.size() >= sweep_at) {", "  if (false) {")]),
    # The environment.
    fault("a listed variable that the coroutine has not set reads as unset", """
          hooks_libco_environment_test LibcoEnvironment.TheProcesssValueShowsUntilTheCoroutineSetsItsOwn""",
          "the process's value until then", [("hooks/libco_environment.cpp", "  if (own == nullptr || !own->touched) return real_getenv(name);",
                                              "  if (own == nullptr) return real_getenv(name);")]),
    fault("getenv() of what another coroutine has set", "hooks_libco_environment_test LibcoEnvironment.ListedNamesAreEachCoroutinesOwn",
          "a coroutine's own variables", [("hooks/libco_environment.cpp", "  static coroutine::CoroutineLocal<PrivateVariables> own;\n  return &own->by_index",
                                           "  static PrivateVariables own;\n  return &own.by_index")]),
    fault("the listed variables that a coroutine has set are never freed", """
          hooks_libco_environment_test LibcoEnvironment.ValuesEndWithTheirCoroutine""",
          "their end with the coroutine",
          [("hooks/libco_environment.cpp", "  static coroutine::CoroutineLocal<PrivateVariables> own;\n  return &own->by_index",
            "  static const size_t key = coroutine::NewLocalKey();\n"
            "  if (coroutine::GetLocal(key) == nullptr) coroutine::SetLocal(key, new PrivateVariables);\n"
            "  return &static_cast<PrivateVariables*>(coroutine::GetLocal(key))->by_index")]),
    fault("`environ` is one for all coroutines", "server_program_process_test ProgramProcess.HasItsOwnEnvironment",
          "the swap of environ", [("hooks/program.cpp", "  environ = environ_;\n", "")]),
    # Loading.
    fault("the shared library crashes at load: it asks dlsym() for the next function in a tail call", """
          (house.exports Exports.test_dlopen)""",
          why_not="whether a call becomes a tail call is the compiler's choice; the test loads the library"),
    fault("#24, #168: libcurl does not work with it", why_not="hooks.clients runs it, and hooks.preload curl"),
]
