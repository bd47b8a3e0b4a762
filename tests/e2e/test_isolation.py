"""Each request of a program is a process of its own: three modules with all kinds of static data, interleaved at random waits, answer
like the same sources compiled by the compiler alone and started afresh."""

import os
import random
import unittest

from harness import case, http, processes, servers
from harness.comparison import as_a_process, ask_and_compare

REQUESTS = int(os.environ.get("COGI_E2E_REQUESTS", "10000"))
AT_ONCE = 500


def make_job(chance):
    """(request, (name, expected answer)) of a random program, input and wait."""
    wait = chance.choice([0, 0, 1, 2, 3, 5, 8, 13, 20])
    name = chance.choice(["counters", "containers", "own_getline"])
    body = b""
    if name == "counters":
        query = f"n={chance.randrange(40)}&mode={chance.choice(['return', 'exit', 'bye'])}"
    elif name == "containers":
        query = "throw=1" if chance.random() < 0.05 else f"n={chance.randrange(40)}"
    else:
        query = ""
        body = b"\n".join(b"line %d of many" % chance.randrange(9) * chance.randrange(1, 4)
                          for _ in range(3 + chance.randrange(3))) if chance.random() < 0.2 else b"one\ntwo\nthree\nfour\nfive\nsix"
    whole = (query + "&" if query else "") + f"wait={wait}"
    data = http.request(f"/{name}.cgi?{whole}", "POST" if body else "GET", body=body if body else None)
    return data, (f"{name}?{whole}", as_a_process(name, query, body))


class Isolation(case.E2eTest):
    def ask_and_compare(self, address, count, at_once):
        chance = random.Random(count)
        ask_and_compare(self, address, (make_job(chance) for _ in range(count)), count, at_once)

    def expect_the_throwing_constructor(self):
        self.expect_log(r"containers\.cgi|containers")

    def test_interleaved_requests_answer_as_fresh_processes_over_http(self):
        cogi = self.start_cogi()
        self.expect_the_throwing_constructor()
        self.ask_and_compare(cogi.http, REQUESTS, AT_ONCE)
        self.assertEqual(len(cogi.workers()), 1)

    def test_interleaved_requests_answer_as_fresh_processes_through_nginx(self):
        cogi = self.start_cogi()
        nginx = self.start_nginx(cogi, servers.FASTCGI_PASS, keepalive=AT_ONCE)
        self.expect_the_throwing_constructor()
        self.expect_log(r"FastCGI sent in stderr")
        self.ask_and_compare(nginx.http, REQUESTS, AT_ONCE)

    def test_private_stacks_isolate_as_well(self):
        cogi = self.start_cogi({"coroutine": {"stack": "private", "stack_size": "256k"}})
        self.expect_the_throwing_constructor()
        self.ask_and_compare(cogi.http, REQUESTS // 5, AT_ONCE)

    def test_the_worker_survives_all_of_it(self):
        cogi = self.start_cogi()
        before = cogi.workers()
        self.expect_the_throwing_constructor()
        self.ask_and_compare(cogi.http, 300, 100)
        self.assertEqual(cogi.workers(), before)
        self.assertTrue(processes.is_running(before[0]))


if __name__ == "__main__":
    unittest.main()
