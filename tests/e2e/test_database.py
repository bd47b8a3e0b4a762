"""A CGI program that calls the unmodified client library of MariaDB waits for its own answer only."""

import time
import unittest

from harness import case, http


class Database(case.E2eTest):
    def test_200_sleeping_queries_run_at_once_on_one_worker(self):
        database = self.start_mariadb()
        cogi = self.start_cogi({"routes": [{"path": "/database.cgi", "program": case.program("database"),
                                            "environment": {"DB_SOCKET": database.socket}}]})
        answers = []
        start = time.monotonic()
        http.ask_all(cogi.http, ((http.request("/database.cgi"), number) for number in range(200)), 200,
                     lambda _, answer: answers.append(answer))
        seconds = time.monotonic() - start
        at_once = database.status("Max_used_connections")
        print(f"\n200 x SLEEP(0.1) on {len(cogi.workers())} worker: {seconds:.2f} s, {at_once} connections at once")
        bodies = [answer.body if not isinstance(answer, Exception) else answer for answer in answers]
        self.assertEqual(bodies, [b"slept 0, connected 1\n"] * 200)
        self.assertGreaterEqual(at_once, 100, "the server never saw them at once")


if __name__ == "__main__":
    unittest.main()
