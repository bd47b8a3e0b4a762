"""Many requests of programs that leave everything behind: memory, descriptors and processes stay where they were."""

import os
import random
import time
import unittest

from harness import case, http, processes

REQUESTS = int(os.environ.get("COGI_E2E_SOAK", "40000"))
WARM_UP = 10_000


class Soak(case.E2eTest):
    def test_memory_stays_flat_over_leaking_programs(self):
        cogi = self.start_cogi()
        worker = cogi.workers()[0]
        chance = random.Random(7)
        failed = []

        def visit(key, answer):
            if isinstance(answer, Exception) or answer.status != 200:
                failed.append((key, answer))

        def jobs(count):
            for _ in range(count):
                n = chance.randrange(1000)
                if n % 3 == 0:
                    body = chance.randbytes(chance.randrange(1, 60_000))
                    yield http.request("/echo.cgi", "POST", body=body), n
                else:
                    yield http.request(f"/leaks.cgi?n={n}&wait={n % 4}"), n

        def at_rest():
            """Resident bytes once the worker has had the occasion to give back what the burst has left free: the end of a request
            when no other is in flight, ten seconds after the last such occasion (server/idle_memory.h)."""
            time.sleep(10.1)
            self.assertEqual(http.ask(cogi.http, "/leaks.cgi?n=1&wait=0").status, 200)
            return processes.resident_bytes(worker)

        self.assertEqual(http.ask(cogi.http, "/leaks.cgi").status, 200)
        fds_before = len(processes.fds(worker))
        http.ask_all(cogi.http, jobs(WARM_UP), 100, visit)
        before = at_rest()
        http.ask_all(cogi.http, jobs(REQUESTS - WARM_UP), 100, visit)
        busy = processes.resident_bytes(worker)
        after = at_rest()
        print(f"\n{REQUESTS} requests: resident {before / 1e6:.1f} MB after {WARM_UP}, {after / 1e6:.1f} MB at the end, both at rest; "
              f"{busy / 1e6:.1f} MB after the last request under load")
        self.assertEqual(failed[:3], [])
        self.assertEqual(cogi.workers(), [worker])
        self.assertEqual(processes.children(worker), [])
        self.assertTrue(processes.wait_until(lambda: len(processes.fds(worker)) <= fds_before), "a descriptor is left")
        self.assertLess(after, before * 1.05)


if __name__ == "__main__":
    unittest.main()
