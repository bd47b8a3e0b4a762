"""slowhttptest's three attacks with hundreds of connections: slow headers, slow bodies, slow reading. Nobody else notices, and who sends
slowly is cut off."""

import os
import re
import shutil
import statistics
import subprocess
import time
import unittest

from harness import case, http, paths

CONNECTIONS = 500
SECONDS = 12
ATTACKS = {
    "slow headers": ("-H", "-i", "1"),
    "slow bodies": ("-B", "-i", "1", "-s", "8192", "-t", "POST"),
    "slow reading": ("-X", "-w", "1", "-y", "2", "-n", "1", "-z", "1", "-k", "3"),
}


@unittest.skipUnless(shutil.which("slowhttptest"), "needs Debian's slowhttptest")
class SlowHttpTest(case.E2eTest):
    def ask(self, cogi):
        start = time.perf_counter()
        with http.Client(cogi.http) as client:
            answer = client.ask("/echo.cgi", "POST", body=b"still here")
        self.assertEqual((answer.status, answer.body), (200, b"still here"))
        return time.perf_counter() - start

    def test_others_are_served_beside_it(self):
        files = os.path.join(self.folder, "files")
        os.mkdir(files)
        os.chmod(self.folder, 0o755)
        with open(os.path.join(files, "large"), "wb") as file:
            file.truncate(32 << 20)  # more than the kernel takes over from the server
        cogi = self.start_cogi({"workers": 1, "timeouts": {"header": "3s", "body": "3s", "send": "3s"},
                                "routes": [{"path": "/", "site": paths.PROGRAMS}, {"path": "/files/", "static": files}]})
        self.expect_log(r".")
        for name, words in ATTACKS.items():
            path = "/files/large" if "-X" in words else "/echo.cgi"
            with self.subTest(name):
                alone = statistics.median(self.ask(cogi) for _ in range(50))
                attack = subprocess.Popen(["slowhttptest", *words, "-c", str(CONNECTIONS), "-r", "250", "-l", str(SECONDS), "-p", "5",
                                           "-u", f"http://127.0.0.1:{cogi.port}{path}"], stdout=subprocess.PIPE, text=True,
                                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
                times, most, left = [], 0, 0
                while attack.poll() is None:
                    times.append(self.ask(cogi))
                    open_now = len(self._connections(attack.pid))
                    if attack.poll() is None:
                        most, left = max(most, open_now), open_now
                    time.sleep(0.02)
                output = attack.stdout.read()
                attack.stdout.close()
                print(f"\n{name}: {len(times)} others served, median {statistics.median(times) / alone:.2f} times that alone")
                output = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", output)
                self.assertEqual(set(re.findall(r"service available: *(\w+)", output)), {"YES"}, output[-1500:])
                # All of its connections were taken, and ended by the server within their deadlines. Reading slowly, the tool drinks
                # its own kernel's buffer for minutes before it sees that: there the kernel's table tells.
                if "-X" in words:
                    self.assertGreater(most, CONNECTIONS * 0.7)
                    self.assertEqual(left, 0, "connections that the server has not ended")
                else:
                    closed = int(re.findall(r"closed: *(\d+)", output)[-1])
                    self.assertTrue(closed >= CONNECTIONS * 0.9 or "No open connections left" in output, output[-1500:])
                self.assertGreater(len(times), 50)
                self.assertLess(statistics.median(times), 5 * alone + 0.02)


if __name__ == "__main__":
    unittest.main()
