"""A file system without room, for the logs and for bodies that do not fit into memory: nobody waits, no worker ends, and what was not
written is counted."""

import os
import re
import signal
import subprocess
import unittest

from harness import case, http, processes

# Mounts a small file system at $0, for this process alone, and becomes the command.
MOUNT = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'


@unittest.skipUnless(processes.may_mount(), "mounting needs root, and a root that is a mount point")
class FullLog(case.E2eTest):
    def setUp(self):
        super().setUp()
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        self.cogi = self.start_cogi({"workers": 2, "log": {"access": f"{disk}/access.log", "error": f"{disk}/error.log"}},
                                    prefix=["unshare", "--mount", "sh", "-c", MOUNT, disk])
        self.disk = f"/proc/{self.cogi.pid}/root{disk}"
        self.expect_log("No space left on device")

    def ask(self, count):
        answers = []
        http.ask_all(self.cogi.http, ((http.request(f"/wait.cgi?{'long' * 30}"), number) for number in range(count)), 20,
                     lambda _, answer: answers.append(getattr(answer, "status", answer)))
        self.assertEqual(set(answers), {200})

    def fill(self):
        self.ask(1000)
        full = processes.wait_until(lambda: os.statvfs(self.disk).f_bfree == 0, 10)
        self.assertTrue(full, "the disk is not full")

    def logged(self, text):
        with open(f"{self.disk}/access.log", encoding="latin-1") as file:
            return text in file.read()

    def test_requests_are_answered_and_lost_lines_counted(self):
        workers = self.cogi.workers()
        self.fill()
        self.ask(2000)
        self.assertEqual(self.cogi.workers(), workers)
        said = processes.wait_until(lambda: re.search(r"access\.log cannot be written: No space left on device; \d+ lines lost",
                                                      self.cogi.output()), 10)
        self.assertTrue(said, self.cogi.output())
        os.truncate(f"{self.disk}/access.log", 0)
        self.assertEqual(http.ask(self.cogi.http, "/wait.cgi?after").status, 200)
        self.assertTrue(processes.wait_until(lambda: self.logged("after"), 5), "nothing is logged though there is room again")

    def test_reloads_and_killed_workers_are_replaced(self):
        self.fill()
        before = set(self.cogi.workers())
        self.cogi.send_signal(signal.SIGHUP)
        self.assertTrue(processes.wait_until(lambda: len(set(self.cogi.workers()) - before) == 2, 20), self.cogi.output())
        victim = max(self.cogi.workers())
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(processes.wait_until(
            lambda: len(now := self.cogi.workers()) >= 2 and victim not in now and not before & set(now), 20), self.cogi.output())
        self.cogi.send_signal(signal.SIGUSR1)
        self.ask(500)


@unittest.skipUnless(processes.may_mount(), "mounting needs root, and a root that is a mount point")
class FullSpool(case.E2eTest):
    def mount(self, *words):
        subprocess.run(["nsenter", "--target", str(self.cogi.pid), "--mount", "--root", *words, "/tmp"], check=True)

    def test_a_body_that_finds_no_room_is_507_and_others_go_on(self):
        self.expect_log("body_no_room")
        self.cogi = self.start_cogi({"routes": [{"path": "/", "native": "echo"}]}, prefix=["unshare", "--mount"])
        workers = self.cogi.workers()
        self.mount("mount", "-t", "tmpfs", "-o", "size=64k", "none")
        for _ in range(20):
            self.assertEqual(http.ask(self.cogi.http, "/", "POST", body=b"x" * 300_000).status, 507)
            body = b"y" * 30_000  # is kept in memory
            self.assertEqual(http.ask(self.cogi.http, "/", "POST", body=body).body, body)
        self.mount("umount")
        self.assertEqual(http.ask(self.cogi.http, "/", "POST", body=b"x" * 300_000).status, 200)
        self.assertEqual(self.cogi.workers(), workers)


if __name__ == "__main__":
    unittest.main()
