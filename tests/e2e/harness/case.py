"""The base class of all end-to-end tests. Its tear-down is part of each test: no process is left, no zombie, no descriptor
more than before, and nothing in the logs that the test did not announce."""

import os
import re
import shutil
import signal
import tempfile
import time
import unittest

from . import paths, processes, servers

# What sanitizers and the runtime print when something is broken: never expected.
NEVER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|SUMMARY: \w+Sanitizer|CHECK failed")
# Lines of the error log that are more than information.
SERIOUS = re.compile(r"^\S+ (warning|error|critical) \[|^\S+ \S+ \[(error|crit|alert|emerg)\]")


def not_kept_yet(why):
    """Marks the test of a promise that cogi does not keep reliably yet: it runs by command, with COGI_OPEN=1."""
    return unittest.skipUnless(os.environ.get("COGI_OPEN"), "not kept yet, COGI_OPEN=1 runs it: " + why)


class E2eTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cogi-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.expected_log = [re.compile("serving as root")]
        self.cogi_base = {}
        self.cogi_servers = []

    def start_cogi(self, config=None, kind=servers.Cogi, **how):
        """Starts cogi, and checks at the end of the test that it left nothing behind."""
        folder = os.path.join(self.folder, f"cogi-{len(self.cogi_servers)}")
        os.mkdir(folder)
        cogi = kind(folder, config, **how)
        self.cogi_servers.append(cogi)
        self.addCleanup(self._finish_cogi, cogi)
        self._settle(cogi)
        self.cogi_base[cogi.pid] = {pid: self.counted_fds(pid) for pid in [cogi.pid, *cogi.workers()]}
        return cogi

    def start_nginx(self, cogi, locations, **how):
        folder = os.path.join(self.folder, "nginx")
        os.mkdir(folder)
        nginx = servers.Nginx(folder, cogi, locations, **how)
        self.addCleanup(self._finish_nginx, nginx)
        return nginx

    def start_mariadb(self, **how):
        folder = os.path.join(self.folder, "mariadb")
        os.mkdir(folder)
        database = servers.MariaDb(folder, **how)
        self.addCleanup(self._finish_plain, database)
        return database

    def expect_log(self, pattern):
        """Announces lines of the error logs that this test causes."""
        self.expected_log.append(re.compile(pattern))

    def check_log(self, lines):
        for line in lines:
            self.assertIsNone(NEVER.search(line), f"in the error log: {line}")
            if SERIOUS.search(line) and not any(pattern.search(line) for pattern in self.expected_log):
                self.fail(f"in the error log, not announced by the test: {line}")

    def assert_logged(self, cogi, pattern, seconds=5):
        """Waits for a line of the error log, and announces it."""
        self.expect_log(pattern)
        found = processes.wait_until(lambda: any(re.search(pattern, line) for line in cogi.errors()), seconds)
        self.assertTrue(found, f"no line like {pattern!r} in the error log:\n" + "\n".join(cogi.errors()))

    def worker_base(self, cogi, pid):
        """How many descriptors a worker may have when nothing is in flight: as many as the workers had at the start."""
        base = self.cogi_base[cogi.pid]
        return len(base[pid]) if pid in base else max(len(fds) for owner, fds in base.items() if owner != cogi.pid)

    @staticmethod
    def counted_fds(pid):
        """The descriptors of a process, but for those that a module has as long as it is loaded: its image, its folder, and what its
        large static data is mapped from and looked at by."""
        return {fd: name for fd, name in processes.fds(pid).items()
                if not name.startswith("/memfd:") and not name.endswith("/pagemap") and not os.path.isdir(name)}

    def _settle(self, cogi):
        """Waits until the workers have opened what they keep open, and the probes of the start are gone."""
        processes.wait_until(lambda: all(not self._connections(pid) for pid in cogi.workers()), 5)

        def resting():
            before = [processes.fds(pid) for pid in cogi.workers()]
            time.sleep(0.05)
            return all(fds and "anon_inode:[eventpoll]" in fds.values() for fds in before) and before == [
                processes.fds(pid) for pid in cogi.workers()]
        processes.wait_until(resting, 5)

    @staticmethod
    def _connections(pid):
        """Connected TCP sockets of a process: what probes at the start may have left for a moment."""
        own = {name[8:-1] for name in processes.sockets(pid)}
        with open("/proc/net/tcp", encoding="ascii") as file:
            return [line for line in file.read().splitlines()[1:]
                    if (fields := line.split())[9] in own and fields[3] != "0A"]

    def _finish_cogi(self, cogi):
        try:
            self.assertIsNone(cogi.process.poll(), f"cogi has ended by itself:\n{chr(10).join(cogi.errors())}")
            # One that was killed a moment ago is reaped within 20 ms (server/exec).
            reaped = processes.wait_until(lambda: "Z" not in cogi.left_behind().values(), 5)
            self.assertTrue(reaped, f"zombies: {cogi.left_behind()}")
            self._check_fds(cogi)
            self.assertEqual(cogi.stop(signal.SIGTERM), 0, "exit status after TERM:\n" + "\n".join(cogi.errors()))
            left = processes.wait_until(lambda: not cogi.left_behind(), 5)
            self.assertTrue(left, f"left behind: {cogi.left_behind()}")
            self.assertFalse(os.path.exists(cogi.fastcgi), "the unix socket's file is left behind")
            self.check_log(cogi.errors())
        finally:
            cogi.kill()

    def _check_fds(self, cogi):
        def too_many():
            found = {pid: self.counted_fds(pid) for pid in cogi.workers()}
            return {pid: fds for pid, fds in found.items() if len(fds) > self.worker_base(cogi, pid)}
        processes.wait_until(lambda: not too_many(), 10)
        for pid, fds in too_many().items():
            base = self.cogi_base[cogi.pid].get(pid, {})
            new = {fd: name for fd, name in fds.items() if base.get(fd) != name}
            self.fail(f"worker {pid} has {len(fds)} descriptors, had {len(base)}; new: {new}")

    def _finish_nginx(self, nginx):
        try:
            nginx.stop(signal.SIGQUIT)
            self.check_log(nginx.errors())
        finally:
            nginx.kill()

    def _finish_plain(self, server):
        try:
            server.stop(signal.SIGTERM)
        finally:
            server.kill()


def program(name):
    """The path of a test program made by `cogi cc`."""
    return os.path.join(paths.PROGRAMS, name + ".cgi")


def plain(name):
    """The path of the same program as any compiler makes it."""
    return os.path.join(paths.PROGRAMS, "plain", name)
