"""Idle connections cost next to nothing, and an idle server sleeps."""

import statistics
import time
import unittest

from harness import case, fastcgi, http, processes, servers

IDLE = 5000


class Idle(case.E2eTest):
    def median_of_100_new_requests(self, cogi):
        """The median time of a request on a new connection; every one must be answered."""
        times = []
        for number in range(100):
            start = time.perf_counter()
            with fastcgi.Client(cogi.fastcgi) as client:
                answer = client.ask("/echo.cgi", method="POST", body=b"%d" % number)
            times.append(time.perf_counter() - start)
            self.assertEqual((answer.status, answer.body), (200, b"%d" % number))
        return statistics.median(times)

    def test_5000_idle_kept_fastcgi_connections_starve_nobody(self):
        cogi = self.start_cogi()
        self.median_of_100_new_requests(cogi)
        alone = self.median_of_100_new_requests(cogi)
        idle = []
        self.addCleanup(lambda: [client.close() for client in idle])
        for _ in range(IDLE):
            client = fastcgi.Client(cogi.fastcgi)
            idle.append(client)
            self.assertEqual(client.ask("/wait.cgi").status, 200)
        crowded = self.median_of_100_new_requests(cogi)
        print(f"\nmedian of 100 new requests: {alone * 1e6:.0f} us alone, {crowded * 1e6:.0f} us beside {IDLE} idle kept"
              f" connections: {crowded / alone:.2f} times")
        for client in idle[::97]:
            self.assertEqual(client.ask("/wait.cgi").status, 200)
        for client in idle:
            client.close()

    def test_an_idle_server_with_100_kept_connections_sleeps(self):
        cogi = self.start_cogi()
        nginx = self.start_nginx(cogi, servers.FASTCGI_PASS)
        failed = []

        def visit(key, answer):
            if isinstance(answer, Exception) or answer.status != 200:
                failed.append((key, answer))

        http.ask_all(nginx.http, ((http.request("/wait.cgi"), number) for number in range(500)), 20, visit)
        http.ask_all(cogi.http, ((http.request("/wait.cgi"), number) for number in range(500)), 20, visit)
        self.assertEqual(failed, [])
        kept = [http.Client(cogi.http) for _ in range(50)]
        kept += [fastcgi.Client(cogi.fastcgi) for _ in range(50)]
        for client in kept:
            self.assertEqual(client.ask("/wait.cgi").status, 200)
        pids = [cogi.pid, *cogi.workers()]
        servers.pause_until_idle(pids)
        time.sleep(1.5)  # the access log of the last requests is written by now
        before = {pid: processes.voluntary_switches(pid) for pid in pids}
        time.sleep(5)
        switches = {pid: processes.voluntary_switches(pid) - before[pid] for pid in pids}
        print(f"\nvoluntary context switches in 5 s, by process: {sorted(switches.values())}")
        for client in kept:
            self.assertEqual(client.ask("/wait.cgi").status, 200)
            client.close()
        self.assertLessEqual(max(switches.values()), 2, switches)


if __name__ == "__main__":
    unittest.main()
