#!/usr/bin/env python3
"""The web server against nginx on one core: CPU time per request of the same answers, byte for byte as many (whoever says less adds a
header), access log off on both sides, and once on, on both. And requests/s of "hello" against Go's net/http. The two sides take turns,
so that both see the same machine.

    bench/web.py            all rows
    bench/web.py hello tls  those whose name begins so
"""

import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys

from measure import PROGRAMS, SERVER_CORE, Bench, cpu_per_request, table, verdict, wrk
from harness import http, paths, processes, servers

CONNECTIONS = 64
ROUNDS = 3
NUMBERS = itertools.count()  # of the servers, for their folders
MANY = 100_000_000  # requests on a connection: it never ends by their number

# name: (path, goal of the ratio, TLS, access log, headers that wrk sends)
ROWS = {
    "hello": ("/hello", 1.05, False, False, ()),
    "hello, access log": ("/hello", 1.05, False, True, ()),
    "file of 4 KiB": ("/4k.txt", 1.15, False, False, ()),
    "file of 1 MB": ("/1m.txt", 1.1, False, False, ()),
    "tls hello, kept": ("/hello", 1.15, True, False, ()),
    "tls file of 4 KiB, kept": ("/4k.txt", 1.15, True, False, ()),
    "tls handshakes": ("/hello", 1.15, True, False, ("Connection: close",)),
}


def make_files(folder):
    os.makedirs(folder, exist_ok=True)
    for name, size in (("4k.txt", 4096), ("1m.txt", 1_000_000)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write("x" * size)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    os.chmod(folder, 0o755)


class Sides:
    """cogi and nginx with one row's settings; `filler` bytes of a further header on the side that says less."""

    def __init__(self, bench, files, tls, log):
        self.bench, self.files, self.tls, self.log = bench, files, tls, log

    def cogi(self, filler=0):
        name = f"cogi-{next(NUMBERS)}"
        log = {"access": f"{self.bench.folder}/{name}.log" if self.log else "off", "error": "stderr"}
        routes = [{"exact": "/hello", "native": {"module": f"{PROGRAMS}/hello_handler.so", "handler": str(filler)}},
                  {"path": "/", "static": self.files, **({"headers": {"X": "x" * filler}} if filler else {})}]
        port = paths.free_port()
        tls = [{"address": f"https:127.0.0.1:{port}", "tls": {"certificate": f"{self.files}/cert.pem", "key": f"{self.files}/key.pem"}}]
        server = self.bench.cogi(routes, name, also_listen=tls if self.tls else (), log=log, limits={"keep_alive_requests": MANY})
        server.url = f"https://127.0.0.1:{port}" if self.tls else f"http://127.0.0.1:{server.port}"
        return server

    def nginx(self, filler=0):
        # nginx 1.22 has no TLS 1.3 unless told: the two would do different work.
        name = f"nginx-{next(NUMBERS)}"
        header = f'add_header X {"x" * filler};' if filler else ""
        port = paths.free_port()
        tls = f"listen 127.0.0.1:{port} ssl; ssl_certificate {self.files}/cert.pem; ssl_certificate_key {self.files}/key.pem; " \
            "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_prefer_server_ciphers on;" if self.tls else ""
        log = f"access_log {self.bench.folder}/{name}.log;" if self.log else ""
        server = self.bench.nginx(None, f"""{tls} {log} keepalive_requests {MANY}; root {self.files}; {header}
            location = /hello {{ default_type text/plain; {header} return 200 "hello\\n"; }}""", name,
            http=f"server_tokens off; sendfile on; tcp_nopush on; default_type text/plain; types {{ text/plain txt; }} charset utf-8;")
        server.url = f"https://127.0.0.1:{port}" if self.tls else f"http://127.0.0.1:{server.port}"
        return server


def answer_size(server, path):
    with http.Client(server.http) as client:
        client.send(http.request(path))
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.socket.recv(65536)
        head = data.index(b"\r\n\r\n") + 4
        return head + int(re.search(rb"(?i)content-length: (\d+)", data)[1])


def same_size(sides, path):
    """Both sides with answers of the same number of bytes."""
    ours, theirs = sides.cogi(), sides.nginx()
    missing = answer_size(theirs, path) - answer_size(ours, path)
    if missing > 0:
        ours.kill()
        ours = sides.cogi(max(missing - len("X: \r\n"), 1))
    elif missing < 0:
        theirs.kill()
        theirs = sides.nginx(max(-missing - len("X: \r\n"), 1))
    return ours, theirs


def row(bench, files, name):
    path, goal, tls, log, headers = ROWS[name]
    ours, theirs = same_size(Sides(bench, files, tls, log), path)
    results = {ours: [], theirs: []}
    for _ in range(ROUNDS):
        for server in results:
            results[server].append(cpu_per_request(server, server.url + path, CONNECTIONS, headers=headers))
    cpu = [statistics.median(used for _, used in results[server]) for server in (ours, theirs)]
    errors = sum(load.errors for server in results for load, _ in results[server])
    sizes = f"{answer_size(ours, path)} / {answer_size(theirs, path)}"
    for server in results:
        server.kill()
    return name, cpu[0], cpu[1], cpu[0] / cpu[1], goal, sizes, errors


def go_server(bench):
    """Go's hello on core 0, with one processor, or None if there is no Go here."""
    if shutil.which("go") is None:
        return None
    binary = os.path.join(bench.folder, "go_hello")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "go_hello", "main.go")
    subprocess.run(["go", "build", "-o", binary, source], check=True, timeout=300,
                   env={**os.environ, "GOCACHE": os.path.join(bench.folder, "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
    address = ("127.0.0.1", paths.free_port())
    server = servers.Server(bench.folder, [binary, f"{address[0]}:{address[1]}"], {**os.environ, "GOMAXPROCS": "1"}, SERVER_CORE)
    bench.callback(server.kill)
    server.wait_for(lambda: servers.answers(address), "go_hello")
    server.url = f"http://127.0.0.1:{address[1]}"
    return server


def against_go(bench, files):
    theirs = go_server(bench)
    if theirs is None:
        print("  hello against Go: skipped, there is no go (apt-get install golang-go)")
        return
    ours = Sides(bench, files, False, False).cogi()
    rates = {ours: [], theirs: []}
    for _ in range(ROUNDS):
        for server in rates:
            rates[server].append(wrk(server.url + "/hello", CONNECTIONS).per_second)
    medians = [statistics.median(rates[server]) for server in (ours, theirs)]
    table("hello against Go's net/http, requests/s on one core", ["cogi", "Go", "ratio"], [[*medians, medians[0] / medians[1]]])
    verdict("requests/s, cogi / Go", medians[0] / medians[1], 1.5)


def main():
    wanted = sys.argv[1:] or [*ROWS, "go"]
    with Bench() as bench:
        files = os.path.join(bench.folder, "files")
        make_files(files)
        rows = [row(bench, files, name) for name in ROWS if any(name.startswith(word) for word in wanted)]
        if rows:
            table(f"CPU us/request on one core, {CONNECTIONS} connections, median of {ROUNDS} rounds in turn",
                  ["", "cogi", "nginx", "ratio", "answer bytes", "errors"],
                  [[name, ours, theirs, ratio, sizes, str(errors)] for name, ours, theirs, ratio, _, sizes, errors in rows])
            for name, _, _, ratio, goal, _, _ in rows:
                verdict(f"{name}: CPU time per request, cogi / nginx", ratio, goal, at_most=True)
        if "go" in wanted:
            against_go(bench, files)


if __name__ == "__main__":
    main()
