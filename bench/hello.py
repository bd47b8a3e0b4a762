#!/usr/bin/env python3
"""HTTP "hello": CPU time per request of a native handler of cogi against nginx's `return 200`, the same bytes in the answer (a header
apart that fills up the difference), no access log. The two take turns, so that both see the same machine."""

import statistics

from measure import EXAMPLES, Bench, cpu_per_request, table, verdict
from harness import http

CONNECTIONS = 64
ROUNDS = 3


def answer_size(port):
    """Bytes of the whole answer."""
    with http.Client(("127.0.0.1", port)) as client:
        client.send(http.request("/hello"))
        size = len(client.socket.recv(65536))
    return size


def pad(bench, cogi):
    """nginx with an answer as long as cogi's."""
    def start(name, header):
        return bench.nginx(None, f'location /hello {{ default_type text/plain; {header} return 200 "hello\\n"; }}', name,
                           http="server_tokens off; keepalive_timeout 75;")
    nginx = start("nginx", "")
    missing = answer_size(cogi.port) - answer_size(nginx.port)
    if missing == 0:
        return nginx, 0
    nginx.kill()
    filler = f'add_header X {"x" * max(missing - len("X: ") - 2, 1)};' if missing > 0 else ""
    return start("nginx-padded", filler), answer_size(cogi.port)


def main():
    with Bench() as bench:
        module = f"{EXAMPLES}/native_handler/greeter.so"
        cogi = bench.cogi([{"exact": "/hello", "native": {"module": module, "handler": "hello"}}],
                          limits={"keep_alive_requests": 100_000_000})
        nginx, _ = pad(bench, cogi)
        sizes = answer_size(cogi.port), answer_size(nginx.port)
        results = {cogi: [], nginx: []}
        for _ in range(ROUNDS):
            for server in results:
                results[server].append(cpu_per_request(server, f"http://127.0.0.1:{server.port}/hello", CONNECTIONS))
    rows = []
    medians = {}
    for server, name, size in ((cogi, "cogi, native handler", sizes[0]), (nginx, "nginx, return 200", sizes[1])):
        medians[server] = statistics.median(cpu for _, cpu in results[server])
        rate = statistics.median(load.per_second for load, _ in results[server])
        errors = sum(load.errors for load, _ in results[server])
        rows.append([name, medians[server], rate, str(size), str(errors)])
    table(f"HTTP hello, {CONNECTIONS} kept connections, median of {ROUNDS} rounds",
          ["", "CPU us/request", "requests/s", "answer bytes", "errors"], rows)
    verdict("CPU time per request, cogi / nginx", medians[cogi] / medians[nginx], 1.3, at_most=True)


if __name__ == "__main__":
    main()
