#!/usr/bin/env python3
"""One libfcgi source in process in one worker of cogi, and in 4 processes under spawn-fcgi: CPU time per request over kept FastCGI connections,
all of them busy: 4, which is as many as the processes can have, and for cogi also 64. Then 1,000 clients through nginx on a handler that waits 100 ms: what the worker grows by for each of
their requests."""

import os
import statistics
import subprocess
import threading

from measure import LOAD_CORE, PROGRAMS, Bench, paths, processes, spawned, table, verdict, wrk

PROCESSES = 4  # and as many connections: a process serves one, until that is closed
MANY = 64
CLIENTS = 1000
ROUNDS, SECONDS = 5, 2


def load(pids, socket, path, connections=PROCESSES):
    """(requests/s, microseconds of CPU time per request) that the processes which listen at `socket` used."""
    generator = subprocess.Popen([*LOAD_CORE, os.path.join(paths.BUILD, "bench", "bench_fastcgi_load"), socket, path, str(connections),
                                  str(SECONDS)], stdout=subprocess.PIPE, text=True)
    if generator.stdout.readline() != "measuring\n":
        raise SystemExit("the load did not start")
    before = processes.cpu_nanoseconds(pids)
    answers, wrong = (int(word) for word in generator.stdout.readline().split())
    used = processes.cpu_nanoseconds(pids) - before
    generator.wait()
    if wrong or not answers:
        raise SystemExit(f"{wrong} of {answers} answers are wrong")
    return answers / SECONDS, used / 1000 / answers


def cpu_time(bench):
    """The medians of load() for cogi, with few and many connections, and for spawn-fcgi, in turn."""
    cogi = bench.cogi([{"path": "/page", "program": f"{PROGRAMS}/page_fcgi.cgi"}])
    prefork = bench.spawn_fcgi([f"{PROGRAMS}/page_fcgi"], PROCESSES, "libfcgi")
    workers = [cogi.pid, *cogi.workers()]
    runs = [(load(workers, cogi.fastcgi, "/page"), load(workers, cogi.fastcgi, "/page", MANY), load(spawned(prefork), prefork, "/page"))
            for _ in range(ROUNDS)]
    return [[statistics.median(figure) for figure in zip(*each)] for each in zip(*runs)]


def growth(bench):
    """(Load, bytes that the worker grows by per client) of 1,000 clients who wait 100 ms each."""
    cogi = bench.cogi([{"path": "/sleep", "program": f"{PROGRAMS}/sleeper_fcgi.cgi"}], "sleeping")
    nginx = bench.nginx(cogi, location("/sleep", "cogi_fastcgi"), "nginx-sleeping", keepalive=CLIENTS)
    url, worker = f"http://127.0.0.1:{nginx.port}/sleep", cogi.workers()[0]
    wrk(url, 1, seconds=1)
    before, most, over = processes.resident_bytes(worker), 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.02):
            most = max(most, processes.resident_bytes(worker))
    watcher = threading.Thread(target=watch)
    watcher.start()
    waiting = wrk(url, CLIENTS)
    over.set()
    watcher.join()
    return waiting, (most - before) / CLIENTS


def location(path, target):
    return f"location {path} {{ include /etc/nginx/fastcgi_params; fastcgi_pass {target}; fastcgi_keep_conn on; }}"


def main():
    with Bench() as bench:
        ours, ours_many, theirs = cpu_time(bench)
        waiting, bytes_each = growth(bench)
    table("One libfcgi source over kept FastCGI connections, all servers on one core", ["", "connections", "requests/s", "us of CPU per request"],
          [["cogi, 1 worker, in process", str(PROCESSES), *ours], ["the same", str(MANY), *ours_many],
           [f"spawn-fcgi, {PROCESSES} processes", str(PROCESSES), *theirs]])
    table(f"{CLIENTS} clients through nginx, a libfcgi program that waits 100 ms",
          ["", "requests/s", "KiB of growth per request", "p50 ms", "p99 ms", "errors"],
          [["cogi, 1 worker, in process", waiting.per_second, bytes_each / 1024, waiting.p50, waiting.p99, str(waiting.errors)]])
    verdict(f"CPU time per request, cogi / spawn-fcgi, {PROCESSES} connections each", ours[1] / theirs[1], 0.7, at_most=True)
    verdict(f"the same, {MANY} connections / {PROCESSES}", ours_many[1] / theirs[1], 0.7, at_most=True)
    verdict("KiB of growth per request in flight", bytes_each / 1024, 32, at_most=True)


if __name__ == "__main__":
    main()
