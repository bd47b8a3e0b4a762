"""Many requests of programs that leave everything behind: memory, descriptors and processes stay where they were."""

import os
import random
import unittest

from harness import case, http, processes

REQUESTS = int(os.environ.get("COGI_E2E_SOAK", "200000"))
WARM_UP = 10_000


class Soak(case.E2eTest):
    @case.not_kept_yet("resident memory grows by up to 16 % over 200,000 requests, 5 % are allowed")
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

        http.ask_all(cogi.http, jobs(WARM_UP), 100, visit)
        before = processes.resident_bytes(worker)
        http.ask_all(cogi.http, jobs(REQUESTS - WARM_UP), 100, visit)
        after = processes.resident_bytes(worker)
        print(f"\n{REQUESTS} requests: resident {before / 1e6:.1f} MB after {WARM_UP}, {after / 1e6:.1f} MB at the end")
        self.assertEqual(failed[:3], [])
        self.assertEqual(cogi.workers(), [worker])
        self.assertEqual(processes.children(worker), [])
        self.assertLess(after, before * 1.05)


if __name__ == "__main__":
    unittest.main()
