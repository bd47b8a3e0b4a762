"""Requests through a real nginx, by fastcgi_pass and by proxy_pass."""

import hashlib
import random
import socket
import unittest

from harness import case, http, processes, servers


class Promises:
    """What holds for each way in which nginx can pass a request on. Subclasses name the way."""

    LOCATIONS = None

    def setUp(self):
        super().setUp()
        self.cogi = self.start_cogi({"limits": {"keep_alive_requests": 1_000_000}})
        self.nginx = self.start_nginx(self.cogi, self.LOCATIONS)

    def test_get(self):
        answer = http.ask(self.nginx.http, "/environment.cgi?a=b+c&d=%20", headers={"X-Own-Header": "seen"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"].split(";")[0], "text/plain")
        variables = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
        self.assertEqual(variables["QUERY_STRING"], "a=b+c&d=%20")
        self.assertEqual(variables["REQUEST_METHOD"], "GET")
        self.assertEqual(variables["SCRIPT_NAME"], "/environment.cgi")
        self.assertEqual(variables["HTTP_X_OWN_HEADER"], "seen")
        self.assertEqual(variables["GATEWAY_INTERFACE"], "CGI/1.1")

    def test_get_over_the_unix_socket(self):
        self.assertEqual(http.ask(self.nginx.unix, "/wait.cgi").status, 200)

    def test_head_has_no_body(self):
        with http.Client(self.nginx.http) as client:
            answer = client.ask("/wait.cgi", method="HEAD")
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual(client.ask("/wait.cgi").status, 200)

    def test_post_of_10_mb_comes_back_with_the_same_checksum(self):
        body = random.Random(1).randbytes(10_000_000)
        answer = http.ask(self.nginx.http, "/echo.cgi", "POST", {"Content-Type": "application/x-test"}, body, timeout=60)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/x-test")
        self.assertEqual(hashlib.sha256(answer.body).hexdigest(), hashlib.sha256(body).hexdigest())

    def test_post_without_a_body(self):
        answer = http.ask(self.nginx.http, "/echo.cgi", "POST", body=b"")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_1000_requests_over_kept_connections(self):
        with http.Client(self.nginx.http) as client:
            client.ask("/wait.cgi")
            worker = self.cogi.workers()[0]
            before = processes.sockets(worker)
            for number in range(1000):
                answer = client.ask("/echo.cgi", "POST", body=b"%d" % number)
                self.assertEqual((answer.status, answer.body), (200, b"%d" % number))
            self.assertEqual(processes.sockets(worker), before, "the connection was not kept")

    def test_1000_requests_32_at_a_time(self):
        wrong = []

        def visit(key, answer):
            if isinstance(answer, Exception) or (answer.status, answer.body) != (200, key):
                wrong.append((key, answer))

        bodies = [b"body %d" % number for number in range(1000)]
        http.ask_all(self.nginx.http, ((http.request("/echo.cgi", "POST", body=body), body) for body in bodies), 32, visit)
        self.assertEqual(wrong, [])

    def test_1000_clients_that_come_at_once_are_all_answered(self):
        statuses = []
        jobs = ((http.request("/wait.cgi?ms=100"), number) for number in range(2000))
        http.ask_all(self.nginx.http, jobs, 1000, lambda _, answer: statuses.append(getattr(answer, "status", answer)))
        self.assertEqual([status for status in statuses if status != 200], [])

    def test_a_client_that_leaves_in_mid_response_disturbs_nobody(self):
        leavers = []
        for number in range(20):
            client = http.Client(self.nginx.http)
            client.send(http.request("/download.cgi?bytes=50000000&slow"))
            self.assertEqual(client.read_head()[0], 200)
            leavers.append(client)
        answers = []
        half = len(leavers) // 2

        def jobs():
            for number in range(400):
                if number % 20 == 0 and leavers:
                    client = leavers.pop()
                    if len(leavers) < half:  # half of them by a reset
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()
                yield http.request("/download.cgi?bytes=30000"), number

        http.ask_all(self.nginx.http, jobs(), 10, lambda _, answer: answers.append(answer))
        self.assertEqual(leavers, [])
        self.assertEqual([a for a in answers if isinstance(a, Exception) or (a.status, len(a.body)) != (200, 30000)], [])
        self.expect_log(r"download\.cgi")


class ByFastcgiPass(Promises, case.E2eTest):
    LOCATIONS = servers.FASTCGI_PASS


class ByProxyPass(Promises, case.E2eTest):
    LOCATIONS = servers.PROXY_PASS


class UnbufferedFastcgi(case.E2eTest):
    """nginx passes body and answer on as they come: a chunked upload has no CONTENT_LENGTH then."""

    def test_a_chunked_post_arrives_whole(self):
        cogi = self.start_cogi()
        nginx = self.start_nginx(cogi, servers.FASTCGI_PASS.replace(
            "fastcgi_keep_conn on;", "fastcgi_keep_conn on; fastcgi_request_buffering off; fastcgi_buffering off;"))
        body = random.Random(2).randbytes(300_000)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                          for piece in (body[at:at + 7000] for at in range(0, len(body), 7000)))
        with http.Client(nginx.http) as client:
            client.send(b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
            answer = client.read_response()
        self.assertEqual(answer.status, 200)
        self.assertEqual(hashlib.sha256(answer.body).hexdigest(), hashlib.sha256(body).hexdigest())


if __name__ == "__main__":
    unittest.main()
