"""Several workers share the connections, and a worker that dies is replaced and takes nothing but its own requests with it."""

import collections
import os
import signal
import unittest

from harness import case, http, processes


class Workers(case.E2eTest):
    def test_400_kept_connections_opened_at_once_spread_over_4_workers(self):
        cogi = self.start_cogi({"workers": 4})
        clients = [http.Client(cogi.http) for _ in range(400)]
        for client in clients:
            client.send(http.request("/wait.cgi?ms=20"))
        answers = [client.read_response() for client in clients]
        share = collections.Counter(answer.body for answer in answers)
        print(f"\n400 connections on {len(share)} of 4 workers: {sorted(share.values(), reverse=True)}")
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertLessEqual(max(share.values()), 240, share)
        for client in clients:
            client.close()

    def test_a_worker_killed_under_load_is_replaced_and_only_its_requests_fail(self):
        cogi = self.start_cogi({"workers": 2})
        self.expect_log(r"worker|main/")
        first = set(cogi.workers())
        victim = min(first)
        answered, failed = [], []
        where = {}

        def visit(key, answer):
            if isinstance(answer, Exception):
                failed.append((key, answer))
            else:
                answered.append((answer.status, int(answer.body)))

        def jobs():
            for number in range(4000):
                if number == 1000:
                    # Whoever is connected to the victim now may lose the one request that is in flight.
                    where["sockets"] = len(self._connections(victim))
                    os.kill(victim, signal.SIGKILL)
                yield http.request("/wait.cgi?ms=5"), number

        http.ask_all(cogi.http, jobs(), 40, visit)
        print(f"\nkill -9 of a worker with {where['sockets']} connections: {len(failed)} of 4000 requests failed")
        self.assertEqual({status for status, _ in answered}, {200})
        self.assertEqual(len(answered) + len(failed), 4000)
        self.assertLessEqual(len(failed), where["sockets"] + 1)
        replaced = processes.wait_until(lambda: len(cogi.workers()) == 2 and victim not in cogi.workers(), 10)
        self.assertTrue(replaced, "the worker was not replaced")
        self.assertIn((first - {victim}).pop(), cogi.workers())
        pids = collections.Counter(int(http.ask(cogi.http, "/wait.cgi").body) for _ in range(20))
        self.assertLessEqual(set(pids), set(cogi.workers()))
        self.assert_logged(cogi, f"{victim}.*(killed|signal)|(killed|signal).*{victim}")


if __name__ == "__main__":
    unittest.main()
