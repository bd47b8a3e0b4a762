"""Bytes that are no requests: the answer of the table in README.md where the protocol allows one, the connection closed, a line in the
error log, and nobody else disturbed."""

import random
import struct
import time
import unittest

from harness import case, fastcgi, http

MIB = 1 << 20


def get(*lines, target="/wait.cgi"):
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *lines, "", ""]).encode("latin-1")


# name: (bytes, allowed statuses; None: closed without an answer)
HTTP_CASES = {
    "binary garbage": (bytes(random.Random(3).randrange(256) for _ in range(300)) + b"\r\n\r\n", {400, None}),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, {400, None}),
    "no HTTP": (b"hello server\r\n\r\n", {400}),
    "one word": (b"GET\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /\r\n\r\n", {400}),
    "version 9.9": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", {400, 505}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "two Hosts": (get("Host: b"), {400}),
    "request line too long": (get(target="/" + "a" * 9000), {414}),
    "endless request line": (b"GET /" + b"a" * 100_000, {414}),
    "header block too big": (get(*[f"X-{n}: {'v' * 1000}" for n in range(40)]), {431}),
    "one header too big": (get("X: " + "v" * 40_000), {431}),
    "endless header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 100_000, {431}),
    "too many headers": (get(*[f"X-{n}: v" for n in range(150)]), {431}),
    "length and chunked": (get("Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n", {400}),
    "two lengths": (get("Content-Length: 3", "Content-Length: 4") + b"abcd", {400}),
    "negative length": (get("Content-Length: -1"), {400}),
    "length with a sign": (get("Content-Length: +5") + b"abcde", {400}),
    "length beyond 64 bits": (get("Content-Length: 99999999999999999999999"), {400, 413}),
    "unknown coding": (get("Transfer-Encoding: gzip"), {400, 501}),
    "space before the colon": (get("X : v"), {400}),
    "no colon": (get("garbage"), {400}),
    "folded header": (get("X: v", " folded"), {400}),
    "NUL in a header": (get("X: a\0b"), {400}),
    "bad chunk size": (get("Transfer-Encoding: chunked").replace(b"GET /wait", b"POST /echo") + b"zz\r\n\r\n", {400, 200, None}),
    "out of the root": (get(target="/../../etc/passwd"), {400, 403, 404}),
    "encoded out of the root": (get(target="/%2e%2e/%2e%2e/etc/passwd"), {400, 403, 404}),
    "NUL in the path": (get(target="/a%00b"), {400}),
    "bad escape": (get(target="/a%zz"), {400}),
    "body over the limit announced": (b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 17000000\r\n\r\n", {413}),
}

# name: bytes after which cogi must close the connection.
FASTCGI_CASES = {
    "garbage": bytes(random.Random(4).randrange(256) for _ in range(500)),
    "HTTP on the FastCGI socket": get(),
    "version 0": fastcgi.record(fastcgi.BEGIN_REQUEST, struct.pack("!HB5x", 1, 1), version=0),
    "version 2": fastcgi.record(fastcgi.BEGIN_REQUEST, struct.pack("!HB5x", 1, 1), version=2),
    "begin of 7 bytes": fastcgi.record(fastcgi.BEGIN_REQUEST, b"\0\1\1\0\0\0\0"),
    "params longer than announced": (fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"\x05\x05ab")),
    "name of 2 GiB": (fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, b"\xff\xff\xff\xff\xff\xff\xff\xff" + b"a" * 64)),
    "params over the limit": (fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, fastcgi.pair("A", "v" * 60_000))
                              + fastcgi.record(fastcgi.PARAMS, fastcgi.pair("B", "v" * 60_000))),
    "too many pairs": fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"".join(
        fastcgi.pair(f"N{number}", "v") for number in range(2000))),
}

# The same, for what ends in the middle: the client closes and cogi must forget it.
TRUNCATED = {
    "half a header": b"\1\1\0",
    "header without its content": fastcgi.record(fastcgi.BEGIN_REQUEST, b"", length=8),
    "half of the params": fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, fastcgi.pairs(fastcgi.variables("/wait.cgi"))[:40], length=400),
    "no end of stdin": (fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(
        fastcgi.variables("/echo.cgi", "POST", body=b"12345678"))) + fastcgi.record(fastcgi.STDIN, b"1234")),
    "nothing at all": b"",
}


class BadInput(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.cogi = self.start_cogi()
        self.bystander = http.Client(self.cogi.http)
        self.addCleanup(self.bystander.close)
        self.first_workers = self.cogi.workers()
        self.expect_log(r".")  # which line stands for which refusal is the business of each test

    def tearDown(self):
        self.assertEqual(self.bystander.ask("/echo.cgi", "POST", body=b"still here").body, b"still here")
        self.assertEqual(self.cogi.workers(), self.first_workers, "a worker was lost")
        self.bystander.close()

    def http_verdict(self, data, byte_by_byte=False):
        """(status or None, closed) of what cogi answers to raw bytes on a new connection."""
        with http.Client(self.cogi.http, timeout=15) as client:
            try:
                for piece in (struct.pack("B", byte) for byte in data) if byte_by_byte else (data,):
                    client.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all of it was sent
            try:
                answer = client.read_response()
            except (http.Truncated, ConnectionResetError):
                return None, True
            closed = client.read_to_end() == b""
            return answer.status, closed

    def test_http(self):
        for name, (data, allowed) in HTTP_CASES.items():
            with self.subTest(name):
                status, closed = self.http_verdict(data)
                self.assertIn(status, allowed)
                if status not in (403, 404, 200):
                    self.assertTrue(closed)

    def test_http_one_byte_at_a_time(self):
        for name, (data, allowed) in HTTP_CASES.items():
            if len(data) < 400:
                with self.subTest(name):
                    self.assertIn(self.http_verdict(data, byte_by_byte=True)[0], allowed)

    def test_http_after_a_good_request(self):
        for name, (data, allowed) in HTTP_CASES.items():
            with self.subTest(name), http.Client(self.cogi.http, timeout=15) as client:
                self.assertEqual(client.ask("/wait.cgi").status, 200)
                try:
                    client.send(data)
                    status = client.read_response().status
                except (http.Truncated, ConnectionResetError, BrokenPipeError):
                    status = None
                self.assertIn(status, allowed | {None} if len(data) > 60_000 else allowed)

    def test_chunked_body_over_the_limit(self):
        with http.Client(self.cogi.http) as client:
            client.send(b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            try:
                for _ in range(17 * 16):
                    client.send(chunk)
                client.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                self.assertIn(client.read_head()[0], (413, 200))
            except (http.Truncated, ConnectionResetError):
                pass
            self.assertLess(len(client.read_to_end()), 17 * MIB)

    def test_http_connection_closed_at_once(self):
        for _ in range(50):
            http.Client(self.cogi.http).close()

    def test_fastcgi(self):
        for name, data in FASTCGI_CASES.items():
            with self.subTest(name), fastcgi.Client(self.cogi.fastcgi) as client:
                try:
                    client.send(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertTrue(client.closed_by_peer(), "still open")

    def test_fastcgi_after_a_good_request(self):
        for name, data in FASTCGI_CASES.items():
            with self.subTest(name), fastcgi.Client(self.cogi.fastcgi) as client:
                self.assertEqual(client.ask("/wait.cgi").status, 200)
                try:
                    client.send(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertTrue(client.closed_by_peer(), "still open")

    def test_fastcgi_truncated(self):
        for name, data in TRUNCATED.items():
            with self.subTest(name):
                client = fastcgi.Client(self.cogi.fastcgi)
                client.send(data)
                time.sleep(0.05)
                client.close()

    def test_fastcgi_params_split_at_every_byte(self):
        whole = fastcgi.pairs(fastcgi.variables("/echo.cgi", "POST", body=b"abc", more={"LONG": "v" * 300}))
        with fastcgi.Client(self.cogi.fastcgi) as client:
            for at in range(1, len(whole)):
                client.send(fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, whole[:at]) + fastcgi.record(fastcgi.PARAMS, whole[at:])
                            + fastcgi.record(fastcgi.PARAMS) + fastcgi.stream(fastcgi.STDIN, b"abc"))
                self.assertEqual(client.read_answers()[1].body, b"abc", f"split at {at}")

    def test_fastcgi_sent_one_byte_at_a_time(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            for byte in fastcgi.request("/echo.cgi", method="POST", body=b"slow"):
                client.send(struct.pack("B", byte))
            self.assertEqual(client.read_answers()[1].body, b"slow")

    def test_fastcgi_padding_of_any_size(self):
        whole = fastcgi.pairs(fastcgi.variables("/echo.cgi", "POST", body=b"abc"))
        with fastcgi.Client(self.cogi.fastcgi) as client:
            for padding in (0, 1, 7, 8, 255):
                client.send(fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, whole, padding=padding)
                            + fastcgi.record(fastcgi.PARAMS, padding=padding) + fastcgi.record(fastcgi.STDIN, b"abc", padding=padding)
                            + fastcgi.record(fastcgi.STDIN, padding=padding))
                self.assertEqual(client.read_answers()[1].body, b"abc")

    def test_fastcgi_management_records_are_answered(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            names = {"FCGI_MAX_CONNS": "", "FCGI_MAX_REQS": "", "FCGI_MPXS_CONNS": "", "UNKNOWN": ""}
            client.send(fastcgi.record(fastcgi.GET_VALUES, fastcgi.pairs(names), request=0))
            kind, number, content = client.read_record()
            self.assertEqual((kind, number), (fastcgi.GET_VALUES_RESULT, 0))
            self.assertIn(b"FCGI_MAX_CONNS", content)
            self.assertNotIn(b"UNKNOWN", content)
            client.send(fastcgi.record(77, b"", request=0))
            kind, number, content = client.read_record()
            self.assertEqual((kind, number, content[0]), (fastcgi.UNKNOWN_TYPE, 0, 77))
            self.assertEqual(client.ask("/wait.cgi").status, 200)

    def test_fastcgi_unknown_role(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            client.send(fastcgi.begin(role=9) + fastcgi.stream(fastcgi.PARAMS, b"") + fastcgi.stream(fastcgi.STDIN, b""))
            self.assertEqual(client.read_answers()[1].protocol_status, fastcgi.UNKNOWN_ROLE)

    def test_fastcgi_without_keep_conn_is_closed_after_the_answer(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            self.assertEqual(client.ask("/wait.cgi", flags=0).status, 200)
            self.assertTrue(client.closed_by_peer())

    def test_fastcgi_body_over_the_limit(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            variables = fastcgi.variables("/echo.cgi", "POST", more={"CONTENT_LENGTH": "17000000"})
            client.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(variables)))
            try:
                self.assertEqual(client.read_answers()[1].status, 413)
            except ConnectionError:
                pass

    def test_fastcgi_empty_params(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            client.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, b"") + fastcgi.stream(fastcgi.STDIN, b""))
            self.assertIn(client.read_answers()[1].status, (400, 404))

    def test_random_bytes_never_take_a_worker(self):
        chance = random.Random(5)
        for number in range(200):
            address, client_kind = ((self.cogi.http, http.Client), (self.cogi.fastcgi, fastcgi.Client))[number % 2]
            with client_kind(address) as client:
                data = bytearray(http.request("/echo.cgi", "POST", body=b"x" * 50) if number % 2 == 0
                                 else fastcgi.request("/echo.cgi", method="POST", body=b"x" * 50))
                for _ in range(chance.randrange(1, 6)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                try:
                    client.send(bytes(data))
                except OSError:
                    pass


class RefusalsAreLogged(case.E2eTest):
    def test_a_malformed_record_leaves_one_line(self):
        cogi = self.start_cogi()
        with fastcgi.Client(cogi.fastcgi) as client:
            client.send(FASTCGI_CASES["version 2"])
            self.assertTrue(client.closed_by_peer())
        self.assert_logged(cogi, r"(?i)fastcgi.*version|version.*fastcgi")

    def test_a_flood_of_bad_requests_is_logged_in_bounded_number(self):
        cogi = self.start_cogi()
        self.expect_log(r".")
        before = len(cogi.errors())
        for _ in range(300):
            with http.Client(cogi.http) as client:
                client.send(b"garbage\r\n\r\n")
                client.read_to_end()
        lines = len(cogi.errors()) - before
        self.assertGreaterEqual(lines, 1)
        self.assertLess(lines, 60)


if __name__ == "__main__":
    unittest.main()
