"""Every front end in front of every form: one test for each cell of tests/MATRIX.md, all with the same cases."""

import hashlib
import json
import os
import random
import re
import unittest

from harness import applications, case, fronts, http, paths, processes

TABLE = os.path.join(paths.SOURCE, "tests", "MATRIX.md")
CASES = ("bodies", "many", "headers", "stream", "abort")
# Where each form's pages are; programs/pages.c says what they do.
PAGES = {
    "native": "/native", "c": "/site/pages.cgi", "c++": "/site/pages_iostream.cgi", "fcgx": "/site/pages_fcgx.cgi",
    "fcgi_stdio": "/site/pages_fcgi_stdio.cgi", "fcgio": "/site/pages_fcgio.cgi", "exec": "/exec/pages", "php-fpm": "/pages.php",
}
PHP = """<?php
while (ob_get_level() > 0) ob_end_clean();
header('Content-Type: application/octet-stream');
switch ($_SERVER['PATH_INFO']) {
case '/echo':
  readfile('php://input');
  break;
case '/environment':
  foreach ($_SERVER as $name => $value) if (is_string($value)) echo "$name=$value\\n";
  break;
case '/lines':
  for ($number = 1; $number <= 5; $number++) {
    echo "$number of 5\\n";
    flush();
    for ($waits = 0; $waits < 2000 && !file_exists("$_SERVER[QUERY_STRING]/$number"); $waits++) {
      usleep(5000);
      clearstatcache();
    }
  }
  break;
default:
  for (;;) { echo str_repeat('y', 8192); flush(); }
}
"""


def cells():
    """(front end, form, what does not apply: {case: reason}) of each cell."""
    names = None
    with open(TABLE, encoding="utf-8") as file:
        for line in file:
            columns = [column.strip() for column in line.strip().strip("|").split("|")]
            if columns[0] == "form":
                names = [name.strip("`") for name in columns[1:]]
            elif names and not line.startswith("|"):
                return
            elif names and not columns[0].startswith("-"):
                form = re.match(r"`(.+?)`", columns[0])[1]
                for name, text in zip(names, columns[1:], strict=True):
                    yield name, form, exceptions(text)


def exceptions(text):
    """{case: why it does not apply} of a cell."""
    if text == "yes":
        return {}
    found = {}
    for part in text.split(";"):
        name, reason = re.fullmatch(r"not (\w+): (.+)", part.strip()).groups()
        found[name] = reason
    return found


def cell(front, form, without):
    """The test of one cell."""
    def test(self):
        self.check(front, form, without)
    test.__name__ = f"test_{re.sub('[^a-z]', '_', front)}_{form.replace('+', 'p').replace('-', '_')}"
    return test


class Matrix(case.E2eTest):
    def start(self, front, form):
        """Starts cogi with all forms, and the front end; returns where that listens."""
        modules = os.path.join(paths.PROGRAMS, "pages_handler.so")
        routes = [{"path": "/site/", "site": paths.PROGRAMS}, {"path": "/exec/", "exec": os.path.join(paths.PROGRAMS, "plain")},
                  {"exact": "/status", "native": "status"}]
        routes += [{"exact": f"/native/{page}", "native": {"module": modules, "handler": page}}
                   for page in ("echo", "environment", "lines", "endless")]
        if form == "php-fpm":
            routes.append({"path": "/", "fastcgi": f"unix:{self.start_php()}", "root": self.folder})
        scgi = os.path.join(self.folder, "scgi.sock")
        self.cogi = self.start_cogi(also_listen=[f"scgi:unix:{scgi}"], config={"routes": routes})
        self.cogi.scgi = scgi
        self.expect_log(r"client|endless|peer|gone|cut|closed|reset|cancel")
        folder = os.path.join(self.folder, "front")
        os.mkdir(folder)
        try:
            self.front = fronts.FRONTS[front](folder, self.cogi)
        except FileNotFoundError as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.front.kill)
        return self.front.http

    def start_php(self):
        with open(os.path.join(self.folder, "pages.php"), "w", encoding="utf-8") as file:
            file.write(PHP)
        fpm = applications.PhpFpm(self.folder, children=8)
        self.addCleanup(fpm.kill)
        return fpm.socket

    def check(self, front, form, without):
        address, pages = self.start(front, form), PAGES[form]
        for name in CASES:
            if name not in without:
                getattr(self, f"check_{name}")(address, pages)

    def check_bodies(self, address, pages):
        self.assertEqual(http.ask(address, f"{pages}/echo").status, 200)
        for name, body in (("empty", b""), ("small", b"abc"), ("binary", bytes(range(256)) * 16),
                           ("1 MB", random.Random(11).randbytes(1_000_000))):
            with self.subTest(name):
                answer = http.ask(address, f"{pages}/echo", "POST", {"Content-Type": "application/x-test"}, body, timeout=60)
                self.assertEqual(answer.status, 200)
                self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())

    def check_many(self, address, pages):
        wrong = []

        def visit(body, answer):
            if isinstance(answer, Exception) or (answer.status, answer.body) != (200, body):
                wrong.append((body, answer))

        jobs = ((http.request(f"{pages}/echo", "POST", body=body), body) for body in (b"number %d" % n for n in range(300)))
        http.ask_all(address, jobs, 50, visit)
        self.assertEqual(wrong[:2], [], f"{len(wrong)} of 300 answers are wrong")

    def check_headers(self, address, pages):
        headers = {f"X-Number-{number}": f"value {number}" for number in range(90)}
        answer = http.ask(address, f"{pages}/environment?a=b%20c", headers=headers)
        lines = answer.body.decode().splitlines()
        self.assertEqual(answer.status, 200)
        for number in range(90):
            self.assertIn(f"HTTP_X_NUMBER_{number}=value {number}", lines)
        self.assertIn("QUERY_STRING=a=b%20c", lines)
        self.assertIn("REQUEST_METHOD=GET", lines)

    def check_stream(self, address, pages):
        """The program writes a line only when this test has seen the one before."""
        seen = os.path.join(self.folder, "seen")
        os.mkdir(seen)
        os.chmod(seen, 0o755)
        with http.Client(address, timeout=8) as client:
            client.send(http.request(f"{pages}/lines?{seen}"))
            self.assertEqual(client.read_head()[0], 200)
            for number in range(1, 6):
                client._until(b"%d of 5\n" % number)
                with open(os.path.join(seen, str(number)), "wb"):
                    pass

    def check_abort(self, address, pages):
        for _ in range(5):
            with http.Client(address) as client:
                client.send(http.request(f"{pages}/endless"))
                self.assertEqual(client.read_head()[0], 200)
                client._exactly(1000)
        self.assertTrue(processes.wait_until(lambda: self.running() == 1, 15), "a handler goes on for a client that has gone")
        self.assertTrue(processes.wait_until(lambda: not processes.children(self.cogi.workers()[0]), 15), "children are left")
        self.assertEqual(http.ask(address, f"{pages}/echo", "POST", body=b"still there").body, b"still there")

    def running(self):
        """How many handlers run; the one that says so is one."""
        return json.loads(http.ask(self.cogi.http, "/status").body)["pools"]["main"]["running"]


class Table(unittest.TestCase):
    def test_is_complete(self):
        found = [(front, form) for front, form, _ in cells()]
        self.assertEqual(sorted(found), sorted((front, form) for front in fronts.FRONTS for form in PAGES))

    def test_what_does_not_apply_is_a_case(self):
        self.assertEqual([name for _, _, without in cells() for name in without if name not in CASES], [])


for _made in (cell(*each) for each in cells()):
    setattr(Matrix, _made.__name__, _made)


if __name__ == "__main__":
    unittest.main()
