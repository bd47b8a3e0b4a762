"""cogi as the first process of a container: it reaps what nobody else does, hands signals on, and ends when it is told to."""

import os
import signal
import unittest

from harness import case, http, paths, processes, servers

# A program that leaves a process behind, in a session of its own and without its request's descriptors.
LEAVES_ORPHAN = """#!/bin/sh
(setsid sleep 0.3 </dev/null >/dev/null 2>&1 &)
printf 'Content-Type: text/plain\\r\\n\\r\\nleft\\n'
"""


@unittest.skipUnless(processes.may_mount(), "a /proc of its own needs root, and a root that is a mount point")
class FirstProcess(case.E2eTest):
    def start(self):
        programs = os.path.join(self.folder, "programs")
        os.mkdir(programs)
        path = os.path.join(programs, "orphan.cgi")
        with open(path, "w", encoding="ascii") as file:
            file.write(LEAVES_ORPHAN)
        os.chmod(path, 0o755)
        cogi = self.start_cogi({"routes": [{"path": "/", "site": paths.PROGRAMS}, {"path": "/exec/", "exec": programs}],
                                "workers": 2}, kind=servers.CogiAsInit)
        with open(f"/proc/{cogi.master}/status", encoding="ascii") as file:
            self.assertIn("1", next(line for line in file if line.startswith("NSpid:")).split()[2:])
        return cogi

    def test_it_reaps_orphans(self):
        cogi = self.start()
        workers = cogi.workers()
        for _ in range(30):
            self.assertEqual(http.ask(cogi.http, "/exec/orphan.cgi").body, b"left\n")
        self.assertGreater(len(processes.children(cogi.master)), len(workers), "the orphans did not come to it")
        alone = processes.wait_until(lambda: processes.children(cogi.master) == workers, 10)
        self.assertTrue(alone, f"{processes.children(cogi.master)}, workers {workers}")
        self.assertEqual(processes.dead_children(cogi.master), [])

    def test_it_hands_signals_on(self):
        cogi = self.start()
        before = cogi.workers()
        cogi.send_signal(signal.SIGHUP)
        self.assertTrue(processes.wait_until(lambda: not set(before) & set(cogi.workers()) and len(cogi.workers()) == 2, 15))
        os.rename(cogi.access_log, cogi.access_log + ".1")
        cogi.send_signal(signal.SIGUSR1)

        def is_logged():
            self.assertEqual(http.ask(cogi.http, "/wait.cgi?rotated").status, 200)
            if not os.path.exists(cogi.access_log):
                return False
            with open(cogi.access_log, encoding="latin-1") as file:
                return "rotated" in file.read()
        self.assertTrue(processes.wait_until(is_logged, 10), "the workers write to the old file")
        cogi.send_signal(signal.SIGUSR2)
        self.assert_logged(cogi, r"main/0\] \d+ requests")
        self.assert_logged(cogi, r"main/1\] \d+ requests")

    def test_term_finishes_what_is_in_flight_and_ends_the_container(self):
        cogi = self.start()
        clients = [http.Client(cogi.http) for _ in range(20)]
        for client in clients:
            client.send(http.request("/wait.cgi?ms=700"))
        processes.wait_until(lambda: sum(len(self._connections(pid)) for pid in cogi.workers()) >= 20, 10)
        cogi.send_signal(signal.SIGTERM)
        self.assertEqual({client.read_response().status for client in clients}, {200})
        for client in clients:
            client.close()
        self.assertEqual(cogi.process.wait(20), 0)

    def _finish_cogi(self, cogi):
        if cogi.process.poll() is None:
            return super()._finish_cogi(cogi)
        self.check_log(cogi.errors())
        cogi.kill()
        return None


if __name__ == "__main__":
    unittest.main()
