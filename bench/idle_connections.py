#!/usr/bin/env python3
"""5,000 idle kept FastCGI connections on one worker: what they cost in time for others and in memory; and the same for 9,000 kept HTTP
connections."""

import os
import statistics
import time

from measure import PROGRAMS, Bench, table, verdict
from harness import fastcgi, http, processes

IDLE = {"FastCGI": 5000, "HTTP": 9000}
REQUESTS = 300


def median_of_new_requests(ask):
    times = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def one_request(kind, address):
    with kind(address) as client:
        assert client.ask("/page.cgi").status == 200


def measure(bench, name, kind, address_of):
    cogi = bench.cogi([{"path": "/page.cgi", "program": f"{PROGRAMS}/page.cgi"}], name.lower())
    worker = cogi.workers()[0]
    address = address_of(cogi)
    median_of_new_requests(lambda: one_request(kind, address))
    alone = median_of_new_requests(lambda: one_request(kind, address))
    base = processes.resident_bytes(worker)
    idle = []
    for _ in range(IDLE[name]):
        idle.append(kind(address))
        assert idle[-1].ask("/page.cgi").status == 200
    memory = (processes.resident_bytes(worker) - base) / IDLE[name]
    crowded = median_of_new_requests(lambda: one_request(kind, address))
    for client in idle:
        client.close()
    return alone, crowded, memory


def main():
    os.sched_setaffinity(0, {1})
    with Bench() as bench:
        kinds = {"FastCGI": measure(bench, "FastCGI", fastcgi.Client, lambda cogi: cogi.fastcgi),
                 "HTTP": measure(bench, "HTTP", http.Client, lambda cogi: cogi.http)}
    table("Idle kept connections on one worker, each after one request",
          ["", "connections", "median alone us", "median beside them us", "ratio", "resident bytes each"],
          [[name, IDLE[name], alone, crowded, crowded / alone, memory] for name, (alone, crowded, memory) in kinds.items()])
    alone, crowded, _ = kinds["FastCGI"]
    verdict("median of new FastCGI requests, crowded / alone", crowded / alone, 2, at_most=True)
    verdict("resident bytes of an idle HTTP connection", kinds["HTTP"][2], 1024, at_most=True)


if __name__ == "__main__":
    main()
