"""Every front end in front of every form: one test for each pair, made from the tables below, all with the same cases."""

import hashlib
import os
import random
import re
import unittest

from harness import case, fronts, http, processes

# form: (path of its echo, of its environment or None, of its stream of numbered lines or None, of an endless answer or None)
FORMS = {
    "c": ("/echo.cgi", "/environment.cgi", "/slow.cgi", "/download.cgi"),
    "c++": ("/mirror.cgi", None, None, None),
    "exec": ("/bin/cat", "/bin/environment", "/bin/lines", "/bin/endless"),
    "native": ("/native", None, None, None),
}
SCRIPTS = {
    "cat": "printf 'Content-Type: application/octet-stream\\n\\n'; exec cat",
    "environment": "printf 'Content-Type: text/plain\\n\\n'; exec env",
    "lines": "printf 'Content-Type: text/plain\\nX-Accel-Buffering: no\\n\\n'; for i in 1 2 3 4 5; do echo $i of 5; sleep 0.2; done",
    "endless": "printf 'Content-Type: application/octet-stream\\n\\n'; exec yes",
}


def cell(front, form):
    """The test of one pair."""
    def test(self):
        self.check(front, *FORMS[form])
    test.__name__ = f"test_{re.sub('[^a-z]', '_', front)}_{form.replace('+', 'p')}"
    return test


class Matrix(case.E2eTest):
    def start(self, front):
        scripts = os.path.join(self.folder, "bin")
        os.mkdir(scripts)
        for name, text in SCRIPTS.items():
            with open(os.path.join(scripts, name), "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{text}\n")
            os.chmod(file.name, 0o755)
        programs = os.path.dirname(case.program("echo"))
        scgi = os.path.join(self.folder, "scgi.sock")
        self.cogi = self.start_cogi(also_listen=[f"scgi:unix:{scgi}"], config={"routes": [
            {"path": "/bin/", "exec": scripts},
            {"exact": "/native", "native": {"module": os.path.join(programs, "mirror_handler.so"), "handler": "mirror"}},
            {"path": "/", "site": programs}]})
        self.cogi.scgi = scgi
        self.expect_log(r"client|download|endless|peer|gone|cut|closed|reset|cancel")
        folder = os.path.join(self.folder, "front")
        os.mkdir(folder)
        try:
            self.front = fronts.FRONTS[front](folder, self.cogi)
        except FileNotFoundError as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.front.kill)
        return self.front.http

    def check(self, front, echo, environment, lines, endless):
        address = self.start(front)
        self.check_bodies(address, echo)
        self.check_many(address, echo)
        if environment:
            self.check_headers(address, environment)
        if lines:
            self.check_stream(address, lines)
        if endless:
            self.check_abort(address, endless, echo)

    def check_bodies(self, address, echo):
        self.assertEqual(http.ask(address, echo).status, 200)
        for name, body in (("empty", b""), ("small", b"abc"), ("binary", bytes(range(256)) * 16),
                           ("1 MB", random.Random(11).randbytes(1_000_000))):
            with self.subTest(name):
                answer = http.ask(address, echo, "POST", {"Content-Type": "application/x-test"}, body, timeout=60)
                self.assertEqual(answer.status, 200)
                self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())

    def check_headers(self, address, environment):
        headers = {f"X-Number-{number}": f"value {number}" for number in range(85)}
        answer = http.ask(address, environment + "?a=b%20c", headers=headers)
        lines = answer.body.decode().splitlines()
        self.assertEqual(answer.status, 200)
        for number in range(85):
            self.assertIn(f"HTTP_X_NUMBER_{number}=value {number}", lines)
        self.assertIn("QUERY_STRING=a=b%20c", lines)
        self.assertIn("REQUEST_METHOD=GET", lines)

    def check_stream(self, address, lines):
        with http.Client(address) as client:
            client.send(http.request(lines))
            self.assertEqual(client.read_head()[0], 200)
            first = client._until(b"1 of 5\n")
            self.assertNotIn(b"5 of 5", first + client.buffer, "the flushes did not arrive one by one")
            client._until(b"5 of 5\n")

    def check_abort(self, address, endless, echo):
        for _ in range(5):
            with http.Client(address) as client:
                client.send(http.request(endless + "?bytes=100000000"))
                self.assertEqual(client.read_head()[0], 200)
                client._exactly(1000)
        self.assertEqual(http.ask(address, echo, "POST", body=b"still there").body, b"still there")
        self.assertTrue(processes.wait_until(lambda: not processes.children(self.cogi.workers()[0]), 15), "children are left")

    def check_many(self, address, echo):
        wrong = []

        def visit(body, answer):
            if isinstance(answer, Exception) or (answer.status, answer.body) != (200, body):
                wrong.append((body, answer))

        jobs = ((http.request(echo, "POST", body=body), body) for body in (b"number %d" % n for n in range(300)))
        http.ask_all(address, jobs, 50, visit)
        self.assertEqual(wrong[:2], [], f"{len(wrong)} of 300 answers are wrong")


for front_name in fronts.FRONTS:
    for form_name in FORMS:
        made = cell(front_name, form_name)
        setattr(Matrix, made.__name__, made)


if __name__ == "__main__":
    unittest.main()
