"""Many requests on one FastCGI connection of a real server: each is answered on its own, can be given up on its own, and what the
server says of itself is true."""

import collections
import os
import random
import signal
import socket
import struct
import time
import unittest

from harness import case, fastcgi, http, paths, processes
from harness.fastcgi import begin, pairs, record, request, variables


class Multiplexing(case.E2eTest):
    def test_a_thousand_requests_share_four_connections(self):
        """Their records are mixed as they come, and every answer belongs to its request."""
        cogi = self.start_cogi()
        for _ in range(4):
            with fastcgi.Client(cogi.fastcgi) as client:
                self.check_mixed(client, 90, random.Random(7))

    def check_mixed(self, client, at_once, rng):
        bodies, waiting, answers = {}, list(range(1, 251)), {}
        open_numbers, queue = set(), collections.deque()
        while waiting or open_numbers:
            while waiting and len(open_numbers) < at_once:
                number = waiting.pop()
                bodies[number] = rng.randbytes(rng.choice((0, 5, 700, 20_000)))
                open_numbers.add(number)
                queue.append(self.records_of(number, bodies[number], rng))
            data = b""
            while queue:
                own = queue[rng.randrange(len(queue))]
                data += own.popleft()
                if not own:
                    queue.remove(own)
                if len(data) > 30_000:
                    break
            client.send(data)
            while not queue and open_numbers:
                kind, number, content = client.read_record()
                answer = answers.setdefault(number, fastcgi.Answer())
                if kind == fastcgi.STDOUT:
                    answer.stdout += content
                elif kind == fastcgi.END_REQUEST:
                    open_numbers.remove(number)
                    if waiting:
                        break
        for number, body in bodies.items():
            self.assertEqual((answers[number].status, answers[number].body), (200, body), number)

    @staticmethod
    def records_of(number, body, rng):
        """The records of a request, one by one."""
        params = pairs(variables("/echo.cgi", "POST", body=body))
        cut = rng.randrange(1, len(params))
        made = collections.deque([begin(request=number), record(fastcgi.PARAMS, params[:cut], number),
                                  record(fastcgi.PARAMS, params[cut:], number), record(fastcgi.PARAMS, b"", number)])
        made.extend(record(fastcgi.STDIN, body[at:at + 4000], number) for at in range(0, len(body), 4000))
        made.append(record(fastcgi.STDIN, b"", number))
        return made

    def test_a_request_that_waits_holds_up_none(self):
        cogi = self.start_cogi()
        with fastcgi.Client(cogi.fastcgi) as client:
            client.send(request("/wait.cgi", query="ms=1000", number=1))
            for number in range(2, 30):
                client.send(request("/wait.cgi", number=number))
            ended = []
            while len(ended) < 29:
                kind, number, _ = client.read_record()
                if kind == fastcgi.END_REQUEST:
                    ended.append(number)
        self.assertEqual((sorted(ended), ended[-1]), (list(range(1, 30)), 1))

    def test_an_abort_ends_its_request_at_once_and_no_other(self):
        cogi = self.start_cogi()
        with fastcgi.Client(cogi.fastcgi) as client:
            begun = time.monotonic()
            client.send(request("/wait.cgi", query="ms=15000", number=1) + request("/wait.cgi", query="ms=300", number=2))
            time.sleep(0.1)
            client.send(record(fastcgi.ABORT_REQUEST, b"", 1))
            answers = client.read_answers(2)
            self.assertLess(time.monotonic() - begun, 10)
            self.assertEqual(answers[1].protocol_status, fastcgi.REQUEST_COMPLETE)
            self.assertEqual(answers[1].stdout, b"")
            self.assertEqual(answers[2].status, 200)
            self.assertEqual(client.ask("/wait.cgi", number=1).status, 200, "the number is free again")
        self.assertTrue(processes.wait_until(lambda: not self._connections(cogi.workers()[0]), 5))

    def test_what_it_says_of_itself_is_true(self):
        cogi = self.start_cogi({"limits": {"fastcgi_requests": 3, "connections": 50}})
        asked = pairs({"FCGI_MAX_CONNS": "", "FCGI_MAX_REQS": "", "FCGI_MPXS_CONNS": ""})
        with fastcgi.Client(cogi.fastcgi) as client:
            client.send(record(fastcgi.GET_VALUES, asked, 0))
            kind, _, content = client.read_record()
            self.assertEqual(kind, fastcgi.GET_VALUES_RESULT)
            self.assertEqual(content, pairs({"FCGI_MAX_CONNS": "50", "FCGI_MAX_REQS": "3", "FCGI_MPXS_CONNS": "1"}))
            client.send(b"".join(request("/wait.cgi", query="ms=200", number=number) for number in range(1, 6)))
            answers = client.read_answers(5)
            self.assertEqual([answers[number].status for number in (1, 2, 3)], [200] * 3)
            self.assertEqual([answers[number].protocol_status for number in (4, 5)], [fastcgi.OVERLOADED] * 2)

    def test_without_multiplexing_it_says_so(self):
        cogi = self.start_cogi({"limits": {"fastcgi_requests": 1}})
        with fastcgi.Client(cogi.fastcgi) as client:
            client.send(record(fastcgi.GET_VALUES, pairs({"FCGI_MPXS_CONNS": ""}), 0))
            self.assertEqual(client.read_record()[2], pairs({"FCGI_MPXS_CONNS": "0"}))
            client.send(request("/wait.cgi", query="ms=200", number=1) + request("/wait.cgi", number=2))
            answers = client.read_answers(2)
            self.assertEqual((answers[1].status, answers[2].protocol_status), (200, fastcgi.CANT_MPX_CONN))

    def test_only_peers_that_are_allowed_may_speak(self):
        ports = paths.free_port(), paths.free_port()
        cogi = self.start_cogi(also_listen=[{"address": f"fastcgi:127.0.0.1:{ports[0]}", "allow": ["127.0.0.1"]},
                                            {"address": f"fastcgi:127.0.0.1:{ports[1]}", "allow": ["10.0.0.0/8"]}])
        with fastcgi.Client(("127.0.0.1", ports[0])) as client:
            self.assertEqual(client.ask("/wait.cgi").status, 200)
        with fastcgi.Client(("127.0.0.1", ports[1])) as client:
            self.assertTrue(client.closed_by_peer())
        self.assert_logged(cogi, "refused 127.0.0.1: not allowed on")

    def test_the_peer_does_not_choose_the_file(self):
        """What it says of files is for programs to know; which one is run follows from the path alone."""
        cogi = self.start_cogi()
        lies = {"SCRIPT_FILENAME": "/etc/passwd", "DOCUMENT_ROOT": "/etc", "PATH_TRANSLATED": "/etc/passwd"}
        with fastcgi.Client(cogi.fastcgi) as client:
            answer = client.ask("/environment.cgi", more=lies)
            self.assertEqual(answer.status, 200)
            self.assertIn(b"REQUEST_METHOD=GET", answer.body)
            for path in ("/../../../../etc/passwd", "/passwd", "/etc/passwd"):
                answer = client.ask(path, more=lies)
                self.assertIn(answer.status, (400, 404), path)
                self.assertNotIn(b"root:", answer.stdout)

    def test_a_web_server_that_leaves_ends_all_that_it_asked(self):
        cogi = self.start_cogi()
        client = fastcgi.Client(cogi.fastcgi)
        client.send(b"".join(request("/wait.cgi", query="ms=30000", number=number) for number in range(1, 60)))
        self.assertTrue(processes.wait_until(lambda: self.running(cogi) == 59, 5))
        client.close()
        self.assertTrue(processes.wait_until(lambda: self.running(cogi) == 0, 5))
        self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)

    @staticmethod
    def running(cogi):
        """How many requests the server dumps."""
        before = len(cogi.errors())
        os.kill(cogi.pid, signal.SIGUSR2)
        lines = processes.wait_until(lambda: [line for line in cogi.errors()[before:] if " requests, " in line], 5)
        return int(lines[0].split("] ")[1].split()[0])

    def test_idle_connections_of_a_multiplexing_peer_cost_no_buffer(self):
        cogi = self.start_cogi()
        worker = cogi.workers()[0]
        clients = [fastcgi.Client(cogi.fastcgi) for _ in range(400)]
        before = processes.resident_bytes(worker)
        for client in clients:
            client.send(request("/wait.cgi", number=1) + request("/wait.cgi", number=2))
            client.read_answers(2)
        grown = processes.resident_bytes(worker) - before
        print(f"\n400 connections after two requests each: {grown // 400} bytes a connection")
        self.assertLess(grown / 400, 4096)
        for client in clients:
            client.close()


class Peer(case.E2eTest):
    def test_a_peer_that_does_not_read_does_not_stop_the_worker(self):
        cogi = self.start_cogi({"timeouts": {"send": "1s"}})
        self.expect_log("send|cut|closed|peer")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(cogi.fastcgi)
            deaf.sendall(b"".join(request("/download.cgi", query="bytes=1000000", number=number) for number in range(1, 20)))
            self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)
            self.assertTrue(processes.wait_until(lambda: Multiplexing.running(cogi) == 0, 20))
            deaf.settimeout(5)
            taken = b""
            while got := deaf.recv(65536):
                taken += got
        # Whatever came are whole records, the last one apart.
        at = 0
        while at + 8 <= len(taken):
            version, _, _, length, padding = struct.unpack("!BBHHBx", taken[at:at + 8])
            self.assertEqual(version, 1)
            at += 8 + length + padding


if __name__ == "__main__":
    unittest.main()
