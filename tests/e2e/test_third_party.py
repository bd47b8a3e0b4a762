"""CGI programs that nobody here wrote run in process unmodified: the demos of libcgicc (C++), the programs of QDBM and
mimeTeX (C, with global state all over). Each answer is compared with that of the same source as an ordinary process, started with the same environment in
the same folder."""

import os
import random
import re
import shutil
import subprocess
import unittest

from harness import case, http, third_party

REQUESTS = int(os.environ.get("COGI_E2E_REQUESTS", "10000")) // 5
AT_ONCE = 200

# What differs between any two runs: times, and the demo's random cookie.
VARYING = re.compile(rb"Total time for request = [^<]*|ELPIELOJUEGO=\w+|\d+ us|\(\d+(\.\d+)? s\)|[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ "
                     rb"[\d:]+ \d{4}|\d{4}[-/]\d\d[-/]\d\d[T ][\d:]+|REMOTE_PORT=\d+")


def settled(data):
    return VARYING.sub(b"*", data)


class ThirdParty(case.E2eTest):
    @classmethod
    def setUpClass(cls):
        cls.folder_of_programs = os.path.join(third_party.FOLDER, "programs")
        os.makedirs(cls.folder_of_programs, exist_ok=True)
        try:
            cgicc, qdbm, mimetex = (third_party.fetch(name) for name in ("libcgicc", "qdbm", "mimetex"))
        except third_party.Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from reason
        for name in ("test", "cookie", "cardgame", "upload"):
            third_party.compile_both(f"{cgicc}/demo/{name}.cpp", cls.folder_of_programs, f"cgicc_{name}", "-lcgicc")
        for name in ("qadm", "qupl", "qfts"):
            third_party.compile_both(f"{qdbm}/cgi/{name}.c", cls.folder_of_programs, name, "-I/usr/include/qdbm", "-lqdbm")
        third_party.compile_both(f"{mimetex}/mimetex.c", cls.folder_of_programs, "mimetex", f"{mimetex}/gifsave.c", "-DGIF", "-lm")
        cls.qdbm = qdbm

    def setUp(self):
        super().setUp()
        self.site = os.path.join(self.folder, "site")
        shutil.copytree(self.folder_of_programs, self.site)
        for name in ("qadm", "qupl", "qfts"):
            shutil.copy(f"{self.qdbm}/cgi/{name}.conf", self.site)
        for name in ("qadmdir", "qupldir"):
            os.mkdir(os.path.join(self.site, name))
        with open(os.path.join(self.site, "qupldir", "file one.txt"), "w", encoding="utf-8") as file:
            file.write("uploaded by somebody")
        self.cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site}]})

    def as_a_process(self, name, request):
        """(status, body) that the ordinary program answers with the environment that cogi gives, printed by a program beside it."""
        method, query, headers, body = request
        environment = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": method,
                       "QUERY_STRING": query, "SCRIPT_NAME": f"/{name}.cgi", "SERVER_NAME": "localhost", "SERVER_PORT":
                       str(self.cogi.port), "REMOTE_ADDR": "127.0.0.1", "REMOTE_HOST": "127.0.0.1", "PATH": "/usr/bin:/bin", "HTTP_HOST": "localhost"}
        for header, value in headers.items():
            key = header.upper().replace("-", "_")
            environment[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
        if body is not None:
            environment["CONTENT_LENGTH"] = str(len(body))
        for key, value in self.cogi_environment.items():
            environment.setdefault(key, value)
        result = subprocess.run([os.path.join(self.site, "plain", name)], input=body or b"", env=environment, cwd=self.site,
                                capture_output=True, timeout=30)
        head, _, rest = result.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
        status = re.search(rb"(?m)^Status: (\d+)", head)
        return int(status[1]) if status else 200, settled(rest)

    cogi_environment = {"SERVER_SOFTWARE": "cogi/0.1.0"}

    def compare(self, requests):
        """Asks each of {program: [request]} alone, then all of them in a random order, many at once."""
        expected = {}
        for name, some in requests.items():
            for number, request in enumerate(some):
                expected[name, number] = self.as_a_process(name, request)
        wrong = []

        def visit(key, answer):
            if isinstance(answer, Exception):
                wrong.append((key, repr(answer)))
            elif (answer.status, settled(answer.body.replace(b"\r\n", b"\n"))) != expected[key]:
                wrong.append((key, expected[key], (answer.status, settled(answer.body.replace(b"\r\n", b"\n")))))

        def job(key):
            method, query, headers, body = requests[key[0]][key[1]]
            return http.request(f"/{key[0]}.cgi" + (f"?{query}" if query else ""), method, headers, body), key

        keys = list(expected)
        http.ask_all(self.cogi.http, (job(key) for key in keys), 1, visit)
        self.assertEqual(wrong[:1], [], f"{len(wrong)} of {len(keys)} answers are wrong, one by one")
        chance = random.Random(6)
        http.ask_all(self.cogi.http, (job(chance.choice(keys)) for _ in range(REQUESTS)), AT_ONCE, visit)
        self.assertEqual(wrong[:1], [], f"{len(wrong)} of {REQUESTS} answers are wrong, {AT_ONCE} at once")

    def test_libcgicc_demos(self):
        form = "application/x-www-form-urlencoded"
        boundary = "multipart/form-data; boundary=frontier"
        upload = (b"--frontier\r\nContent-Disposition: form-data; name=\"userfile\"; filename=\"a.txt\"\r\n"
                  b"Content-Type: text/plain\r\n\r\n%s\r\n--frontier--\r\n")
        requests = {
            "cgicc_test": [("GET", f"name=n{n}&age={n}&vote=on", {"User-Agent": f"agent {n}"}, None) for n in range(8)]
                          + [("POST", "", {"Content-Type": form}, f"name=p{n}&thoughts=%3Cx%3E+{n}".encode()) for n in range(8)],
            "cgicc_cookie": [("GET", f"name=c{n}&value=v{n}&add=Add", {"Cookie": f"a{n}=b{n}; c=d"}, None) for n in range(8)],
            "cgicc_upload": [("POST", "", {"Content-Type": boundary}, upload % (b"content %d\n" % n * 50 * (n + 1))) for n in range(8)],
        }
        self.compare(requests)

    def test_qdbm_programs(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for number in range(4):  # made by the ordinary program
            self.as_a_process("qadm", ("POST", "", form, f"act=2&dbt=0&dbname=base{number}".encode()))
            self.as_a_process("qadm", ("POST", "", form, f"act=5&dbname=base{number}.dp&key=k&val=value+{number}".encode()))
        requests = {
            "qadm": [("GET", "", {}, None)] + [("GET", f"act={act}&dbname=base{n}.dp", {}, None) for n in range(4)
                                               for act in (1, 3)],
            "qupl": [("GET", "", {}, None)],
            "qfts": [("GET", f"phrase=word{n}&unit={n + 5}", {}, None) for n in range(8)],
        }
        self.compare(requests)
        self.assertEqual(sorted(os.listdir(os.path.join(self.site, "qadmdir"))), [f"base{n}.dp" for n in range(4)])

    def test_mimetex(self):
        """Formulas as GIF pictures: half a megabyte of tables, and parser state in hundreds of static variables. (Without
        -DAA: its anti-aliasing reads beyond its blocks of memory, as Valgrind tells, and prints what happens to lie behind them.)"""
        formulas = ["x^2", "%5Cfrac%7Ba%7D%7Bb%7D", "%5Csqrt%7B1+x%7D", "%5Cint_0%5E1+f(x)dx", "%5CLarge+%5Calpha%5Cbeta%5Cgamma", "",
                    "%5Cleft(%5Csum_%7Bi=1%7D%5En+x_i%5Cright)", "%5Cunknown+{"]
        self.compare({"mimetex": [("GET", formula, {}, None) for formula in formulas]})


if __name__ == "__main__":
    unittest.main()
