"""Programs in process whose route gives them a stack of their own: the coroutine of the connection and that of the program share a
request, and neither has anything of it on its stack."""

import os
import random
import signal
import time
import unittest

from harness import case, fastcgi, http, processes

PRIVATE = {"stack": "private", "stack_size": "256k"}


class OwnStacks(case.E2eTest):
    def start(self, **more):
        routes = [{"path": f"/{name}.cgi", "program": case.program(name), "coroutine": PRIVATE}
                  for name in ("misbehave", "wait", "leaks", "swallow")]
        # What the program redirects to.
        routes.append({"path": "/echo.cgi", "program": case.program("echo"), "coroutine": PRIVATE})
        return self.start_cogi({"coroutine": {"shared_stacks": 1}, "routes": routes, **more})

    def test_a_body_that_comes_slowly(self):
        cogi = self.start()
        body = random.Random(11).randbytes(300_000)
        pieces = [body[at:at + 100_000] for at in range(0, len(body), 100_000)]

        def over_http():
            with http.Client(cogi.http) as client:
                client.send(f"POST /swallow.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                for piece in pieces:
                    time.sleep(0.05)
                    client.send(piece)
                return client.read_response()

        def over_fastcgi():
            with fastcgi.Client(cogi.fastcgi) as client:
                client.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(
                    fastcgi.variables("/swallow.cgi", "POST", more={"CONTENT_LENGTH": str(len(body))}))))
                for piece in pieces:
                    time.sleep(0.05)
                    for at in range(0, len(piece), 50_000):
                        client.send(fastcgi.record(fastcgi.STDIN, piece[at:at + 50_000]))
                client.send(fastcgi.record(fastcgi.STDIN))
                return client.read_answers()[1]
        answers = {(ask().status, ask().body) for ask in (over_http, over_fastcgi)}
        self.assertEqual(len(answers), 1)
        self.assertEqual(next(iter(answers))[1][:7], b"300000 ")

    def test_many_at_once_while_others_wait_on_the_shared_stack(self):
        """Every connection's coroutine waits on the only shared stack, and none keeps it from the others."""
        cogi = self.start()
        wrong = []

        def visit(_, answer):
            if getattr(answer, "status", answer) != 200:
                wrong.append(answer)
        jobs = ((http.request(f"/leaks.cgi?n={number % 60}&wait=3" if number % 2 else "/wait.cgi?ms=5"), number) for number in range(2000))
        http.ask_all(cogi.http, jobs, 200, visit)
        self.assertEqual(wrong[:3], [])

    def test_a_local_redirect_from_one_to_another(self):
        cogi = self.start()
        for _ in range(20):
            self.assertEqual(http.ask(cogi.http, "/misbehave.cgi?mode=local").status, 200)

    def test_those_that_run_on_at_the_drain_limit_are_cut(self):
        cogi = self.start(drain="1s")
        worker = cogi.workers()
        clients = [http.Client(cogi.http) for _ in range(10)]
        for client in clients:
            self.addCleanup(client.close)
            client.send(http.request("/wait.cgi?ms=30000"))
        time.sleep(0.3)
        os.kill(cogi.pid, signal.SIGHUP)
        self.assert_logged(cogi, "10 connections are cut: they did not end within the drain limit")
        # By itself: a crash would stand in the log, which is checked.
        self.assertTrue(processes.wait_until(lambda: not set(cogi.workers()) & set(worker), 10))


if __name__ == "__main__":
    unittest.main()
