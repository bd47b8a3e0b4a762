#!/usr/bin/env python3
"""HTTP "hello": CPU time per request of a native handler of cogi against nginx's `return 200`, the same bytes in the answer (a header
apart that fills up the difference), no access log. The two take turns, so that both see the same machine."""

import statistics

from measure import PROGRAMS, Bench, cpu_per_request, table, verdict
from harness import http

CONNECTIONS = 64
ROUNDS = 3


def answer_size(server):
    """Bytes of the whole answer."""
    with http.Client(server.http) as client:
        client.send(http.request("/hello"))
        return len(client.socket.recv(65536))


def same_size(bench):
    """cogi and nginx with answers of the same number of bytes: whoever says less adds a header."""
    def cogi(filler):
        return bench.cogi([{"exact": "/hello", "native": {"module": f"{PROGRAMS}/hello_handler.so", "handler": str(filler)}}],
                          f"cogi-{filler}", limits={"keep_alive_requests": 100_000_000})

    def nginx(filler):
        header = f'add_header X {"x" * filler};' if filler else ""
        return bench.nginx(None, f'location /hello {{ default_type text/plain; {header} return 200 "hello\\n"; }}',
                           f"nginx-{filler}", http="server_tokens off;")
    ours, theirs = cogi(0), nginx(0)
    missing = answer_size(theirs) - answer_size(ours)
    if missing > 0:
        ours.kill()
        ours = cogi(max(missing - len("X: \r\n"), 1))
    elif missing < 0:
        theirs.kill()
        theirs = nginx(max(-missing - len("X: \r\n"), 1))
    return ours, theirs


def main():
    with Bench() as bench:
        cogi, nginx = same_size(bench)
        sizes = answer_size(cogi), answer_size(nginx)
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
