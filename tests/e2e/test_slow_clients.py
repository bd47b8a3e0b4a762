"""Clients that are slow, silent or greedy: each is dropped at its deadline, and nobody else notices."""

import socket
import threading
import time
import unittest

from harness import case, fastcgi, http, processes

TIMEOUTS = {"header": "1s", "body": "1s", "send": "1s", "keep_alive": "1s", "handler": "20s"}


class SlowClients(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.cogi = self.start_cogi({"timeouts": TIMEOUTS, "limits": {"body_rate": "10k"}})
        self.expect_log(r".")

    def ended(self, client, seconds=15):
        """(status or None) of what cogi said before it closed; fails if it does not close."""
        client.socket.settimeout(seconds)
        try:
            answer = client.read_to_end()
        except TimeoutError:
            self.fail("the connection is still open")
        return int(answer.split()[1]) if answer.startswith(b"HTTP/") else None

    def test_silence_after_connecting(self):
        clients = [http.Client(self.cogi.http) for _ in range(100)]
        self.assertEqual({self.ended(client) for client in clients}, {None})

    def test_half_a_header(self):
        clients = [http.Client(self.cogi.http) for _ in range(100)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        self.assertEqual({self.ended(client) for client in clients}, {408})

    def test_a_header_a_byte_at_a_time_has_one_deadline_in_all(self):
        client = http.Client(self.cogi.http)

        def drip():
            try:
                for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"v" * 200:
                    client.send(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                pass
        thread = threading.Thread(target=drip)
        thread.start()
        self.assertEqual(self.ended(client), 408)
        client.close()
        thread.join()

    def test_a_body_that_never_comes(self):
        client = http.Client(self.cogi.http)
        client.send(b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        self.assertEqual(self.ended(client), 408)

    def test_a_body_below_the_least_rate(self):
        client = http.Client(self.cogi.http)
        client.send(b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")

        def drip():
            try:
                for _ in range(200):
                    client.send(b"x" * 100)
                    time.sleep(0.1)
            except OSError:
                pass
        thread = threading.Thread(target=drip)
        thread.start()
        self.assertEqual(self.ended(client), 408)
        client.close()
        thread.join()

    def test_idle_after_an_answer(self):
        client = http.Client(self.cogi.http)
        self.assertEqual(client.ask("/wait.cgi").status, 200)
        self.assertIsNone(self.ended(client))

    def test_a_client_that_does_not_read(self):
        clients = []
        for _ in range(20):
            client = http.Client(self.cogi.http)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(http.request("/download.cgi?bytes=50000000"))
            clients.append(client)
        self.assertEqual(http.ask(self.cogi.http, "/wait.cgi").status, 200)
        worker = self.cogi.workers()[0]
        gone = processes.wait_until(lambda: not [line for line in self._connections(worker) if line.split()[3] == "01"], 20)
        self.assertTrue(gone, "connections are still there")
        for client in clients:
            client.close()

    def test_fastcgi_params_that_never_end(self):
        with fastcgi.Client(self.cogi.fastcgi) as client:
            client.send(fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, fastcgi.pair("A", "b")))
            self.assertTrue(client.closed_by_peer(15))

    def test_others_are_served_beside_1000_slow_ones(self):
        slow = [http.Client(self.cogi.http) for _ in range(1000)]
        for number, client in enumerate(slow):
            client.send(b"POST /echo.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc" if number % 2 else b"GET / HT")
        wrong = []

        def visit(key, answer):
            if isinstance(answer, Exception) or answer.status != 200:
                wrong.append((key, answer))
        http.ask_all(self.cogi.http, ((http.request("/wait.cgi?ms=1"), n) for n in range(1000)), 20, visit)
        self.assertEqual(wrong, [])
        self.assertEqual({self.ended(client) for client in slow}, {408})


if __name__ == "__main__":
    unittest.main()
