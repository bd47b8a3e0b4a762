"""What the benches share: pinned servers, wrk, CPU time per request, and tables.

Servers run on core 0, the load on core 1, so that neither steals from the other. Everything runs on this machine for a few
seconds at a time and ends by itself. COGI_BUILD names the build folder, COGI_BENCH_SECONDS the length of one measurement.
"""

import collections
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e"))

from harness import paths, processes, servers  # noqa: E402 (the path comes first)

SECONDS = int(os.environ.get("COGI_BENCH_SECONDS", "5"))
PROGRAMS = os.path.join(paths.BUILD, "bench", "programs")
SERVER_CORE = ["taskset", "-c", "0"]
LOAD_CORE = ["taskset", "-c", "1"]

Load = collections.namedtuple("Load", "per_second requests errors p50 p99")


class Bench(contextlib.ExitStack):
    """A folder and the servers in it; all of them end with the `with` block."""

    def __enter__(self):
        self.folder = self.enter_context(tempfile.TemporaryDirectory(prefix="cogi-bench-"))
        os.chmod(self.folder, 0o755)
        return super().__enter__()

    def _keep(self, server):
        self.callback(server.kill)
        return server

    def _folder(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def cogi(self, routes, name="cogi", prefix=SERVER_CORE, also_listen=(), **more):
        """One worker, no access log unless `more` says so."""
        folder = self._folder(name)
        config = {"workers": 1, "routes": routes, "log": {"access": "off", "error": os.path.join(folder, "error.log")}}
        return self._keep(servers.Cogi(folder, {**config, **more}, also_listen=also_listen, prefix=prefix))

    def nginx(self, cogi, locations, name="nginx", http="", keepalive=64, prefix=SERVER_CORE):
        return self._keep(servers.Nginx(self._folder(name), cogi, locations, keepalive, http=http, prefix=prefix))

    def spawn_fcgi(self, program, count, name, prefix=SERVER_CORE):
        """`count` processes of a FastCGI program under spawn-fcgi; returns the path of their socket."""
        folder = self._folder(name)
        path, pids = os.path.join(folder, "fcgi.sock"), os.path.join(folder, "pids")
        subprocess.run([*prefix, paths.tool("spawn-fcgi"), "-s", path, "-M", "0666", "-b", "1024", "-F", str(count), "-P", pids,
                        "--", *program], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30)
        self.callback(end_processes, path)
        return path

    def fcgiwrap(self, children, name="fcgiwrap"):
        return self.spawn_fcgi([paths.tool("fcgiwrap"), "-c", str(children)], 1, name)

    def copy_program(self, name, target="cgi"):
        """An ordinary CGI program in a folder where fcgiwrap may run it; returns its path."""
        folder = os.path.join(self.folder, target)
        os.makedirs(folder, exist_ok=True)
        return shutil.copy(os.path.join(PROGRAMS, name), os.path.join(folder, name))


def spawned(socket):
    """The processes under spawn-fcgi that listen at the path `socket`."""
    with open(os.path.join(os.path.dirname(socket), "pids"), encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def end_processes(socket):
    """Ends the processes under spawn-fcgi, and what they have started."""
    pids = spawned(socket)
    for pid in pids + [child for pid in pids for child in processes.children(pid)]:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # ours: see PR_SET_CHILD_SUBREAPER below


def wrk(url, connections, seconds=SECONDS, timeout=10, prefix=LOAD_CORE, headers=()):
    """Asks `url` over that many kept connections; times in milliseconds."""
    result = subprocess.run([*prefix, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{timeout}s",
                             "--latency", *(word for header in headers for word in ("-H", header)), url], capture_output=True, text=True, timeout=seconds + timeout + 60)
    text = result.stdout
    errors = sum(int(number) for line in re.findall(r"Socket errors:(.*)|Non-2xx or 3xx responses:(.*)", text)
                 for part in line for number in re.findall(r"\d+", part))

    def percentile(name):
        found = re.search(rf"{name}%\s+([\d.]+)(us|ms|s|m)\b", text)
        return float(found[1]) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[found[2]] if found else float("nan")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    return Load(per_second, requests, errors, percentile("50"), percentile("99"))


def cpu_per_request(server, url, connections, seconds=SECONDS, headers=()):
    """(Load, microseconds of CPU time per request) that `server` and its workers used, by the scheduler's clock."""
    return cpu_per_request_of([server.pid, *processes.children(server.pid)], url, connections, seconds, headers)


def cpu_per_request_of(pids, url, connections, seconds=SECONDS, headers=()):
    """The same of any processes."""
    before = processes.cpu_nanoseconds(pids)
    load = wrk(url, connections, seconds, headers=headers)
    return load, (processes.cpu_nanoseconds(pids) - before) / 1000 / max(load.requests, 1)


def table(title, header, rows):
    """Prints rows under a header, columns as wide as they need to be."""
    rows = [[cell if isinstance(cell, str) else f"{cell:,.2f}" if cell < 100 else f"{cell:,.0f}" for cell in row]
            for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  " + "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))))
    print()


def verdict(name, value, goal, at_most=False):
    """Prints a ratio beside its goal."""
    reached = value <= goal if at_most else value >= goal
    print(f"  {name}: {value:.2f} (goal: {'at most' if at_most else 'at least'} {goal}): {'reached' if reached else 'MISSED'}")


def raise_fd_limit():
    """Lets this process and what it starts have as many descriptors as it may."""
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what spawn-fcgi leaves becomes our child, so we can end it
raise_fd_limit()
