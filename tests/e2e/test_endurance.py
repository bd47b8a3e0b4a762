"""Everything at once for a while: requests of every form, clients that leave in the middle, slow ones, reloads and killed workers. At
the end memory, descriptors, coroutines and children are what they were after the first round, and no request was lost but those in
flight on a killed worker. A minute in CI; COGI_E2E_ENDURANCE=1200 is the promise."""

import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from harness import case, fastcgi, http, load, paths, processes

SECONDS = int(os.environ.get("COGI_E2E_ENDURANCE", "60"))
ROUNDS = min(max(SECONDS // 20, 3), 10)
REST = 10.1  # how long a worker keeps what a burst has left free (server/idle_memory.h)
CLIENTS = 12
LARGE = 8 << 20


def request(client, chance):
    """A request that must be answered, and how."""
    kind = chance.randrange(6)
    if kind == 0:
        return "GET", http.request(f"/wait.cgi?ms={chance.randrange(20)}"), lambda answer: answer.status == 200
    if kind == 1:
        return "GET", http.request(f"/leaks.cgi?n={chance.randrange(1000)}&wait=1"), lambda answer: answer.status == 200
    if kind == 2:
        return "GET", http.request("/files/small"), lambda answer: answer.body == b"small"
    if kind == 3:
        return "GET", http.request("/plain/wait"), lambda answer: answer.status == 200
    if kind == 4:
        return "GET", http.request("/files/none"), lambda answer: answer.status == 404
    body = chance.randbytes(chance.randrange(100_000))
    return "POST", http.request("/echo.cgi", "POST", body=body), lambda answer: answer.body == body


class Rude:
    """Clients that do what clients should not, each in a thread, from the `with` on to its end. What becomes of their requests is
    nobody's business."""

    def __init__(self, cogi, tls, count):
        def over_http():
            return http.Client(cogi.http, 20)

        def over_fastcgi():
            return fastcgi.Client(cogi.fastcgi)

        def over_tls():
            return http.Client(tls, 20)

        self.acts = [(over_http, self.half_a_head), (over_http, self.half_a_body), (over_http, self.gone_while_it_waits),
                     (over_http, self.gone_in_a_download), (over_http, self.slow_head), (over_http, self.slow_reader),
                     (over_fastcgi, self.half_a_record), (over_fastcgi, self.aborted), (over_tls, self.half_a_handshake),
                     (over_tls, self.gone_in_a_tls_download)]
        self.done = threading.Event()
        self.count = dict.fromkeys((act.__name__ for _, act in self.acts), 0)
        self.threads = [threading.Thread(target=self.go_on, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def go_on(self, number):
        chance = random.Random(number)
        while not self.done.is_set():
            connect, act = chance.choice(self.acts)
            try:
                with connect() as client:
                    act(client, chance)
                    if chance.random() < 0.5:  # it leaves by a reset
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # cut by a deadline, a reload or a kill
            self.count[act.__name__] += 1

    def half_a_head(self, client, chance):
        client.send(http.request("/wait.cgi")[:chance.randrange(1, 30)])

    def half_a_body(self, client, chance):
        client.send(http.request("/echo.cgi", "POST", {"Content-Length": "200000"}) + bytes(chance.randrange(150_000)))

    def gone_while_it_waits(self, client, chance):
        client.send(http.request(chance.choice(["/wait.cgi?ms=1500", "/plain/wait?ms=1500"])))
        time.sleep(chance.random() * 0.1)

    def gone_in_a_download(self, client, chance):
        client.send(http.request("/files/large"))
        client.socket.recv(chance.randrange(1, 100_000))

    def slow_head(self, client, chance):
        for byte in http.request("/wait.cgi")[:chance.randrange(1, 100)]:
            client.send(bytes([byte]))
            if self.done.wait(0.05):
                break

    def slow_reader(self, client, chance):
        client.send(http.request("/files/large"))
        for _ in range(chance.randrange(30)):
            if not client.socket.recv(100_000) or self.done.wait(0.1):
                break

    def half_a_record(self, client, chance):
        client.send((fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, bytes(100)))[:chance.randrange(1, 100)])

    def aborted(self, client, chance):
        pairs = fastcgi.pair("SCRIPT_NAME", "/wait.cgi") + fastcgi.pair("QUERY_STRING", "ms=1500") + fastcgi.pair("REQUEST_METHOD", "GET")
        client.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, pairs) + fastcgi.stream(fastcgi.STDIN, b""))
        time.sleep(chance.random() * 0.1)
        client.send(fastcgi.record(fastcgi.ABORT_REQUEST))

    def half_a_handshake(self, client, chance):
        client.send(b"\x16\x03\x01\x02\x00\x01\x00" + bytes(chance.randrange(500)))

    def gone_in_a_tls_download(self, client, chance):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.socket = context.wrap_socket(client.socket)
        client.send(http.request("/files/large"))
        client.socket.recv(chance.randrange(1, 100_000))


class Endurance(case.E2eTest):
    def start(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem"], check=True,
                       capture_output=True)
        files = os.path.join(self.folder, "files")
        os.mkdir(files)
        with open(os.path.join(files, "large"), "wb") as file:
            file.truncate(LARGE)
        with open(os.path.join(files, "small"), "wb") as file:
            file.write(b"small")
        port = paths.free_port()
        cogi = self.start_cogi(
            {"workers": 2, "drain": "2s", "timeouts": {"header": "3s", "body": "3s", "send": "3s"},
             "routes": [{"path": "/", "site": paths.PROGRAMS}, {"path": "/files/", "static": files},
                        {"path": "/plain/", "exec": os.path.join(paths.PROGRAMS, "plain")}]},
            also_listen=[{"address": f"https:127.0.0.1:{port}",
                          "tls": {"certificate": f"{self.folder}/cert.pem", "key": f"{self.folder}/key.pem"}}])
        return cogi, ("127.0.0.1", port)

    def await_workers(self, cogi, before):
        """Until both workers are others than `before`, and those that were retired have left."""
        done = processes.wait_until(lambda: len(now := cogi.workers()) == 2 and not before & set(now), 60)
        self.assertTrue(done, f"{before}, {cogi.workers()}\n" + "\n".join(cogi.errors()[-20:]))

    def change(self, cogi, seconds):
        """Reloads and kills by turns, for so long; returns the deaths."""
        deaths, end, number = [], time.monotonic() + seconds, 0
        while time.monotonic() < end:
            time.sleep(min(2, seconds / 4))
            if number % 2 == 0:
                before = set(cogi.workers())
                cogi.send_signal(signal.SIGHUP)
                self.await_workers(cogi, before)
            else:
                time.sleep(0.6)  # no crash loop
                deaths.append(load.kill(min(cogi.workers(), key=processes.started)))
                processes.wait_until(lambda: len(cogi.workers()) == 2, 20)
            number += 1
        return deaths

    def coroutines(self, cogi):
        """How many coroutines each worker has, by its own account."""
        before = len(cogi.errors())
        cogi.send_signal(signal.SIGUSR2)
        found = {}

        def said():
            for line in cogi.errors()[before:]:
                match = re.search(r"\[(\d+) [^]]*\] (\d+) requests, (\d+) connections, (\d+) coroutines", line)
                if match:
                    found[int(match[1])] = int(match[4])
            return set(cogi.workers()) <= set(found)
        self.assertTrue(processes.wait_until(said, 10), "a worker does not say what it does")
        return [found[pid] for pid in cogi.workers()]

    def at_rest(self, cogi):
        """What the processes have when nothing is in flight and what bursts left free has been given back."""
        time.sleep(REST)
        workers, asked = set(cogi.workers()), set()
        end = time.monotonic() + 20
        while asked != workers and time.monotonic() < end:
            asked.add(int(http.ask(cogi.http, "/wait.cgi").body))
        self.assertEqual(asked, workers)
        processes.wait_until(lambda: not any(self._connections(pid) for pid in workers), 10)
        pids = [cogi.pid, *cogi.workers()]
        sizes = [[processes.resident_bytes(pid) for pid in pids]]

        def stay():
            sizes.append([processes.resident_bytes(pid) for pid in pids])
            return sizes[-1] == sizes[-2]
        processes.wait_until(stay, 5, 0.5)
        return {"memory": [size / 1e6 for size in sizes[-1]],
                "descriptors": [len(self.counted_fds(pid)) for pid in pids],
                "coroutines": self.coroutines(cogi),
                "zombies": len([pid for parent in pids for pid in processes.dead_children(parent)]),
                "children": sum(len(processes.children(pid)) for pid in cogi.workers())}

    def test_nothing_grows(self):
        self.expect_log(r".")
        cogi, tls = self.start()
        rows, lost, deaths, answered, rude_acts = [], [], [], 0, 0
        for number in range(ROUNDS):
            begin = time.monotonic()
            busy = max(SECONDS / ROUNDS - REST, 5)
            with load.Load(cogi.http, request, CLIENTS) as clients, Rude(cogi, tls, 8) as rude:
                if number < ROUNDS * 2 / 3:  # in the last third the workers stay
                    deaths += self.change(cogi, busy / 2)
                time.sleep(max(0, begin + busy - time.monotonic()))
            lost += clients.lost
            answered += clients.answered
            rude_acts += sum(rude.count.values())
            self.assertGreater(min(rude.count.values()), 0, rude.count)
            rows.append(self.at_rest(cogi))
            print(f"\nround {number + 1}, {time.monotonic() - begin:.0f} s: {clients.answered} answered, {len(deaths)} killed so far; "
                  f"MB {', '.join(f'{size:.1f}' for size in rows[-1]['memory'])}; descriptors {rows[-1]['descriptors']}; "
                  f"coroutines {rows[-1]['coroutines']}; zombies {rows[-1]['zombies']}")
        print(f"{answered} requests answered, {len(lost)} lost by {len(deaths)} kill -9, {rude_acts} rude clients")
        self.assertEqual(load.unexplained(lost, deaths)[:3], [])
        self.assertGreater(len(deaths), 0)
        self.check_flat(rows)

    def check_flat(self, rows):
        first, last = rows[0], rows[-1]
        self.assertEqual(last["zombies"] + last["children"], 0)
        self.assertLessEqual(max(last["coroutines"]), max(first["coroutines"]))
        self.assertLessEqual(last["descriptors"][0], first["descriptors"][0])
        self.assertLessEqual(max(last["descriptors"][1:]), max(first["descriptors"][1:]))
        self.assertLess(last["memory"][0], first["memory"][0] * 1.05 + 0.5, "the master grows")
        self.assertLess(max(last["memory"][1:]), max(first["memory"][1:]) * 1.1 + 1, "the workers grow")


if __name__ == "__main__":
    unittest.main()
