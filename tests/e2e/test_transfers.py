"""Large bodies, over HTTP and HTTPS: an upload is passed on in bounded memory, a client that reads slowly disturbs nobody. Short here;
COGI_TRANSFER_MB=1024 is the whole length."""

import os
import ssl
import statistics
import subprocess
import time
import unittest
import zlib

from harness import case, http, paths, processes

MIB = 1 << 20
SIZE = int(os.environ.get("COGI_TRANSFER_MB", "128")) * MIB
GROWTH = 16 * MIB
SLOW_SECONDS = int(os.environ.get("COGI_TRANSFER_SECONDS", "4"))


class TlsClient(http.Client):
    def __init__(self, address, timeout=20):
        super().__init__(address, timeout)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)


class Transfers(case.E2eTest):
    def setUp(self):
        super().setUp()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem"], check=True,
                       capture_output=True)
        files = os.path.join(self.folder, "files")
        os.mkdir(files)
        os.chmod(self.folder, 0o755)
        with open(os.path.join(files, "large"), "wb") as file:
            file.truncate(SIZE)
        with open(os.path.join(files, "small"), "wb") as file:
            file.write(b"small")
        port = paths.free_port()
        self.cogi = self.start_cogi(
            {"workers": 1, "routes": [{"path": "/", "static": files}, {"exact": "/swallow", "program": f"{paths.PROGRAMS}/swallow.cgi",
                                                                       "limits": {"body": "2g"}, "timeouts": {"handler": "10m"}}]},
            also_listen=[{"address": f"https:127.0.0.1:{port}",
                          "tls": {"certificate": f"{self.folder}/cert.pem", "key": f"{self.folder}/key.pem"}}])
        self.clients = {"http": lambda: http.Client(self.cogi.http, 60), "https": lambda: TlsClient(("127.0.0.1", port), 60)}

    def forget_peak(self):
        """Lets the worker's peak be what it has now, and returns that."""
        with open(f"/proc/{self.cogi.workers()[0]}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        return self.peak()

    def peak(self):
        """The most memory that the worker has had since."""
        with open(f"/proc/{self.cogi.workers()[0]}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def upload(self, client, size, chunked):
        """Sends `size` bytes; the answer has their number and checksum."""
        piece = bytes(range(256)) * 1024
        crc, left = 0, size
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        client.send(f"POST /swallow HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        while left > 0:
            part = piece[:left]
            client.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            crc = zlib.crc32(part, crc)
            left -= len(part)
        if chunked:
            client.send(b"0\r\n\r\n")
        answer = client.read_response()
        self.assertEqual((answer.status, answer.body), (200, b"%d %08x\n" % (size, crc)))

    def test_an_upload_takes_bounded_memory(self):
        for scheme, connect in self.clients.items():
            for chunked in (False, True):
                with self.subTest(scheme, chunked=chunked), connect() as client:
                    self.upload(client, MIB, chunked)
                    before = self.forget_peak()
                    self.upload(client, SIZE, chunked)
                    growth = self.peak() - before
                    print(f"\n{scheme}{', chunked' if chunked else ''}: {SIZE // MIB} MiB uploaded, memory grew by {growth / MIB:.1f} MiB")
                    self.assertLess(growth, GROWTH)

    def medians(self, count=200):
        """Seconds of a request for a small file on a connection of its own, over HTTP."""
        times = []
        for _ in range(count):
            start = time.perf_counter()
            with self.clients["http"]() as client:
                self.assertEqual(client.ask("/small").body, b"small")
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def test_a_slow_download_disturbs_nobody(self):
        for scheme, connect in self.clients.items():
            with self.subTest(scheme), connect() as slow:
                self.medians()
                alone = self.medians()
                slow.send(http.request("/large"))
                status, headers = slow.read_head()
                self.assertEqual((status, int(headers["content-length"])), (200, SIZE))
                before, got, beside = self.forget_peak(), len(slow.buffer), []
                start = time.monotonic()
                while time.monotonic() - start < SLOW_SECONDS:  # a MiB a second
                    got += len(slow.socket.recv(MIB // 4))
                    beside.append(self.medians(50))
                    time.sleep(max(0, start + got / MIB - time.monotonic()))
                while got < SIZE:
                    got += len(slow.socket.recv(4 * MIB))
                growth = self.peak() - before
                ratio = statistics.median(beside) / alone
                print(f"\n{scheme}: others took {ratio:.2f} times as long, memory grew by {growth / MIB:.1f} MiB")
                self.assertEqual(got, SIZE)
                self.assertLess(growth, GROWTH)
                self.assertLess(ratio, 3)


if __name__ == "__main__":
    unittest.main()
