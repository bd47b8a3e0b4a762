"""What /proc tells about processes: children, descriptors, memory, CPU time, context switches."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, or None if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_running(pid):
    """True while the process exists and is no zombie."""
    fields = _stat(pid)
    return fields is not None and fields[0] not in "ZX"


def children(pid):
    """Direct children that are no zombies."""
    return sorted(child for child in all_pids()
                  if (fields := _stat(child)) is not None and int(fields[1]) == pid and fields[0] not in "ZX")


def session_members(session):
    """{pid: state} of all processes of a session, zombies too."""
    found = {}
    for pid in all_pids():
        fields = _stat(pid)
        if fields is not None and int(fields[3]) == session:
            found[pid] = fields[0]
    return found


def fds(pid):
    """{fd: what it is} of a process."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def sockets(pid):
    """Names ("socket:[inode]") of the sockets that a process holds: equal names are the same connection."""
    return {name for name in fds(pid).values() if name.startswith("socket:")}


def started(pid):
    """When a process began, in clock ticks since the machine did."""
    fields = _stat(pid)
    return int(fields[19]) if fields is not None else 0


def cpu_seconds(pids):
    """User and system time that the processes used so far, in seconds."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def cpu_nanoseconds(pids):
    """As cpu_seconds(), from the scheduler's own clock: exact where ticks are not."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def voluntary_switches(pid):
    """Voluntary context switches of all threads of a process: how often it went to sleep."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total


def resident_bytes(pid):
    """Resident memory of a process, anonymous and file pages together."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def wait_until(condition, seconds=10.0, pause=0.02):
    """Waits until condition() is true; returns its value, or the last false one when the time is up."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(pause)
