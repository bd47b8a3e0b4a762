"""Without descriptors or memory a worker refuses what it cannot do, does not spin, lives, and recovers by itself; what the server says of
itself is answered meanwhile."""

import json
import os
import random
import resource
import shutil
import subprocess
import time
import unittest

from harness import case, http, paths, processes

KIB = 1024
MIB = 1024 * KIB
# Beyond what the worker has when its memory is limited.
ROOM = (0, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
CLIENTS = 60
PATIENCE = 20


def limit(pid, kind, soft):
    """Sets a soft limit; the hard one stays, so that it can be raised again by anybody."""
    return resource.prlimit(pid, kind, (soft, resource.prlimit(pid, kind)[1]))


def address_space(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def heap_end(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        heap = next(line for line in file if line.endswith("[heap]\n"))
    return int(heap.split()[0].partition("-")[2], 16)


def counted(statuses):
    return ", ".join(f"{status}: {statuses.count(status)}" for status in sorted(set(statuses), key=str))


class Starved(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.status = os.path.join(self.folder, "status.sock")
        site = os.path.join(self.folder, "site")
        os.mkdir(site)
        with open(os.path.join(site, "file.txt"), "w", encoding="ascii") as file:
            file.write("x" * 10_000)
        self.cogi = self.start_cogi({
            "status": f"http:unix:{self.status}", "stall": {"restart": 0},
            "routes": [{"path": "/", "site": paths.PROGRAMS}, {"path": "/hello", "native": "hello"},
                       {"path": "/echo", "native": "echo"}, {"path": "/site/", "static": site}]})
        self.cogi.worker_count = 2
        self.worker = self.pids("main")[0]
        self.expect_log(r".")

    def ask_status(self):
        return json.loads(http.ask(self.status, "/status").body)["pools"]

    def pids(self, pool):
        return [worker["pid"] for worker in self.ask_status()[pool]["workers"]]

    def assert_status_is_told(self):
        self.assertEqual(http.ask(self.status, "/healthz").body, b"ok\n")
        self.assertIn("main", self.ask_status())

    def assert_recovered(self):
        """Everything is answered again, by the same worker."""
        for target in ("/hello", "/site/file.txt", "/wait.cgi?ms=1", "/echo"):
            def answered(target=target):
                try:
                    return http.ask(self.cogi.http, target).status == 200
                except OSError:
                    return False
            self.assertTrue(processes.wait_until(answered, 15), target + "\n" + "\n".join(self.cogi.errors()[-20:]))
        self.assertEqual(self.pids("main"), [self.worker], "the worker was lost:\n" + "\n".join(self.cogi.errors()[-20:]))

    def requests(self):
        body = random.Random(7).randbytes(300_000)
        return (http.request("/hello"), http.request("/site/file.txt"), http.request("/wait.cgi?ms=20"),
                http.request("/echo", "POST", body=body), http.request("/echo.cgi", "POST", body=body),
                http.request("/hello", headers={f"X-{number}": "v" * 300 for number in range(90)}))

    def storm(self):
        """Many clients at once; statuses of what was answered, None for a connection that was closed."""
        clients = []
        for number in range(CLIENTS):
            try:
                client = http.Client(self.cogi.http, timeout=PATIENCE)
                clients.append(client)
                client.send(self.requests()[number % 6])
            except OSError:
                continue
        try:
            return [self.status_of(client) for client in clients]
        finally:
            for client in clients:
                client.close()

    @staticmethod
    def status_of(client):
        try:
            return client.read_response().status
        except TimeoutError:
            raise AssertionError("neither answered nor closed") from None
        except OSError:
            return None


class Exhaustion(Starved):
    def test_without_memory(self):
        for round_ in range(2):
            for room in ROOM:
                with self.subTest(round=round_, room=room):
                    before = limit(self.worker, resource.RLIMIT_AS, address_space(self.worker) + room)
                    try:
                        statuses = self.storm()
                        self.assert_status_is_told()
                    finally:
                        if processes.is_running(self.worker):
                            limit(self.worker, resource.RLIMIT_AS, before[0])
                    self.assertLessEqual(set(statuses), {200, 500, 502, 503, 507, None})
                    print(f"\n{room // KIB} KiB: " + counted(statuses))
                    self.assert_recovered()

    def test_without_descriptors(self):
        used = len(processes.fds(self.worker))
        for room in (0, 1, 2, 3, 5, 20):
            with self.subTest(room=room):
                before = limit(self.worker, resource.RLIMIT_NOFILE, used + room)
                clients = []
                try:
                    for number in range(40):
                        clients.append(http.Client(self.cogi.http, timeout=PATIENCE))
                        clients[-1].send(self.requests()[number % 3])
                    begin, cpu = time.monotonic(), processes.cpu_seconds([self.worker])
                    time.sleep(1)
                    self.assertLess(processes.cpu_seconds([self.worker]) - cpu, 0.3 * (time.monotonic() - begin), "it spins")
                    self.assert_status_is_told()
                finally:
                    limit(self.worker, resource.RLIMIT_NOFILE, before[0])
                # Whoever waited is served now; who had been taken was told what was missing.
                statuses = [self.status_of(client) for client in clients]
                for client in clients:
                    client.close()
                print(f"\n{room} descriptors: " + counted(statuses))
                self.assertLessEqual(set(statuses), {200, 500, 503, None})
                self.assertGreater(statuses.count(200), 0)
                self.assert_recovered()
        self.assertGreater(self.ask_status()["main"]["accept_failures"], 0)


# name: (system calls, the error that they are made to fail with, which of them, whether requests may fail by it). A failure to accept
# is followed by a pause, so those are few.
FAULTS = {
    "interrupted": ("read,pread64,recvfrom,recvmsg,sendto,sendmsg,sendfile,accept4,epoll_wait,epoll_pwait", "EINTR", "2+2", False),
    "connections that broke before they were taken": ("accept4", "ECONNABORTED", "1+2", False),
    "no room in epoll": ("epoll_ctl", "ENOSPC", "1..25+3", True),
    "no memory for epoll": ("epoll_ctl", "ENOMEM", "1..25+3", True),
    "no memory to accept": ("accept4", "ENOMEM", "1..10+2", False),
}


@unittest.skipUnless(shutil.which("strace"), "needs strace")
class FaultyCalls(Starved):
    """System calls fail now and then."""

    def storm_under(self, name, injections, may_fail):
        log = os.path.join(self.folder, "trace")
        words = [word for injection in injections for word in ("-e", "inject=" + injection)]
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", log, "-p", str(self.worker),
                                   "-e", "trace=" + ",".join(each.partition(":")[0] for each in injections), *words])
        try:
            if not processes.wait_until(lambda: processes.tracer(self.worker) > 0 or tracer.poll() is not None, 10) \
                    or tracer.poll() is not None:
                self.skipTest("no process may be traced here")
            statuses = self.storm()
            self.assert_status_is_told()
        finally:
            tracer.terminate()
            tracer.wait(10)
        with open(log, encoding="utf-8") as trace:
            injected = trace.read().count("(INJECTED)")
        print(f"\n{name} ({injected} times): " + counted(statuses))
        self.assertGreater(injected, 0)
        self.assertLessEqual(set(statuses), {200, 500, 502, 503, 507, None} if may_fail else {200})
        self.assert_recovered()

    def test_calls_that_fail_now_and_then(self):
        self.storm()  # programs are loaded by ld.so, which takes no EINTR from a file, and need not
        for name, (calls, error, when, may_fail) in FAULTS.items():
            with self.subTest(name):
                self.storm_under(name, [f"{calls}:error={error}:when={when}"], may_fail)

    # These two begin with a worker that has loaded and kept nothing yet.
    def test_every_second_page_is_refused(self):
        self.storm_under("every second page", ["mmap,mremap:error=ENOMEM:when=1+2"], True)

    def test_no_page_is_given_for_a_while(self):
        # brk(2) says that it failed by telling where the heap ends, as before.
        self.storm_under("no page", ["mmap,mremap:error=ENOMEM:when=1..40",
                                     f"brk:retval={heap_end(self.worker)}:when=1..40"], True)


if __name__ == "__main__":
    unittest.main()
