"""What /proc tells about processes: children, descriptors, memory, CPU time, context switches."""

import os
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, or None if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def may_mount():
    """True where a test can have mounts of its own: for root, and not below a bare chroot, whose root is no mount point."""
    return subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


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


def dead_children(pid):
    """Children that have ended and that nobody has waited for."""
    return sorted(child for child in all_pids()
                  if (fields := _stat(child)) is not None and int(fields[1]) == pid and fields[0] in "ZX")


def session_members(session):
    """{pid: state} of all processes of a session; zombies too, but for those that init has to reap since their parent has gone."""
    found = {pid: fields for pid in all_pids() if (fields := _stat(pid)) is not None and int(fields[3]) == session}
    return {pid: fields[0] for pid, fields in found.items() if fields[0] not in "ZX" or pid == session or int(fields[1]) in found}


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


def tcp_peers(pid):
    """The addresses (without ports) of those whose established TCP connections a process holds, one for each connection."""
    own = {name[8:-1] for name in sockets(pid)}
    peers = []
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.read().splitlines()[1:]:
            fields = line.split()
            if fields[9] in own and fields[3] == "01":
                peers.append(".".join(str(byte) for byte in reversed(bytes.fromhex(fields[2][:8]))))
    return peers


def state(pid):
    """The letter of a process's state ("T": stopped, "Z": dead and not reaped), "" if there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields is not None else ""


def tracer(pid):
    """Who traces a process, or 0."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(next(line for line in file if line.startswith("TracerPid:")).split()[1])


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
    """Resident memory of a process, anonymous and file pages together: counted page by page, where /proc/PID/status may be off by
    some hundred pages."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Rss:"):
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
