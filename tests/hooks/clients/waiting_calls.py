"""What of a trace by `strace -f -T` a thread spent in system calls that can wait.

The time that strace prints is the wall clock's: a thread that loses the CPU in a call that cannot wait (a recv() with MSG_DONTWAIT, a
read() of a descriptor with O_NONBLOCK, a poll() without time) looks slow, too. Those are told apart by their flags."""

import re

EVENT_LOOP = {"epoll_pwait2", "epoll_pwait"}
ON_A_DESCRIPTOR = {"read", "readv", "write", "writev", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "connect",
                   "accept", "accept4"}
OTHERS = {"poll", "ppoll", "select", "pselect6", "futex", "wait4", "waitid", "epoll_wait", "nanosleep", "clock_nanosleep", "flock"}
MAKES_NONBLOCKING = re.compile(r"SOCK_NONBLOCK|O_NONBLOCK|[ET]FD_NONBLOCK")


def _calls(lines):
    """(thread, name, arguments and result, seconds) of each call, in the order in which they ended."""
    begun = {}
    for line in lines:
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest[:-len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if resumed is not None:
            rest = begun.pop(thread, "?(") + resumed[1]
        match = re.match(r"(\w+)\((.*) <(\d+\.\d+)>$", rest)
        if match is not None:
            yield thread, match[1], match[2], float(match[3])


class _Descriptors:
    """Which descriptors have O_NONBLOCK, as far as the calls tell."""

    def __init__(self):
        self.nonblocking = set()

    def note(self, name, text):
        result = re.search(r"= (\d+)$", text)
        number = re.match(r"(\d+)", text)
        if name == "close" and number is not None:
            self.nonblocking.discard(int(number[1]))
        elif name in ("socket", "accept4", "eventfd2", "timerfd_create", "signalfd4", "openat") and result is not None:
            self._set(int(result[1]), MAKES_NONBLOCKING.search(text) is not None)
        elif name in ("pipe2", "socketpair") and result is not None:
            for fd in re.search(r"\[(\d+), (\d+)\]", text).groups():
                self._set(int(fd), MAKES_NONBLOCKING.search(text) is not None)
        elif name == "fcntl" and "F_SETFL" in text and result is not None:
            self._set(int(number[1]), "O_NONBLOCK" in text)
        elif name == "fcntl" and "F_DUPFD" in text and result is not None:
            self._set(int(result[1]), int(number[1]) in self.nonblocking)
        elif name == "ioctl" and "FIONBIO" in text:
            self._set(int(number[1]), "[1]" in text)

    def _set(self, fd, nonblocking):
        (self.nonblocking.add if nonblocking else self.nonblocking.discard)(fd)

    def can_wait(self, name, text):
        if name in ON_A_DESCRIPTOR:
            number = re.match(r"(\d+)", text)
            return "MSG_DONTWAIT" not in text and (number is None or int(number[1]) not in self.nonblocking)
        if name == "poll":
            return re.search(r", \d+, 0\) ", text) is None
        if name == "ppoll":
            return "{tv_sec=0, tv_nsec=0}" not in text
        if name == "futex":
            return "FUTEX_WAIT" in text
        if name in ("wait4", "waitid"):
            return "WNOHANG" not in text
        return name in OTHERS


def slow_calls(lines, limit):
    """The calls of the first thread that can wait, and took more than `limit` seconds; and how many were slow that cannot."""
    lines = list(lines)
    first = lines[0].partition(" ")[0]
    descriptors, waited, delayed = _Descriptors(), [], 0
    for thread, name, text, seconds in _calls(lines):
        if thread == first and seconds > limit and name not in EVENT_LOOP:
            if descriptors.can_wait(name, text):
                waited.append(f"{name}({text} <{seconds}>")
            else:
                delayed += 1
        descriptors.note(name, text)
    return waited, delayed
