#!/usr/bin/env python3
"""200,000 idle kept HTTP connections over several workers, each after one request: what they cost the active ones in time, and in
memory each. COGI_BENCH_IDLE is another number.

A process may have so many descriptors and an address so many ports, so the idle clients are spread over processes, each with a
loopback address of its own, and their other ends over as many workers as it takes. Needs about 10 KB of memory a connection, most
of it the kernel's."""

import contextlib
import gc
import math
import multiprocessing
import os
import resource
import socket
import time

from measure import Bench, cpu_per_request, table, verdict
from harness import http, processes

IDLE = int(os.environ.get("COGI_BENCH_IDLE", "200000"))
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500
PORTS = 12_500  # of one source address: beyond half of its range connect() searches for long
BATCH = 100
REQUEST = http.request("/")
PACED, PAUSE = 2000, 0.001
ROUNDS = 5


def hold(address, source, count, channel):
    """Opens `count` connections from `source`, with one request on each; then asks again on some whenever it is told to."""
    held = []
    for begin in range(0, count, BATCH):
        fresh = []
        for _ in range(min(BATCH, count - begin)):
            connection = socket.socket()
            connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: connect() picks the port
            connection.bind((source, 0))
            connection.connect(address)
            connection.sendall(REQUEST)
            fresh.append(connection)
        for connection in fresh:
            assert b" 200 " in connection.recv(4096)
        held += fresh
    channel.send(len(held))
    channel.recv()
    for connection in held[::50]:
        connection.sendall(REQUEST)
        assert b" 200 " in connection.recv(4096)
    channel.send(len(held[::50]))
    channel.recv()


@contextlib.contextmanager
def idle_clients(address):
    """The idle connections, in processes; yields how many there are and a function that asks again on one in fifty."""
    most = min(DESCRIPTORS, PORTS)
    shares = [min(most, IDLE - begin) for begin in range(0, IDLE, most)]
    context = multiprocessing.get_context("fork")
    channels, holders = [], []
    for number, share in enumerate(shares, 1):
        own, other = context.Pipe()
        holders.append(context.Process(target=hold, args=(address, f"127.0.2.{number}", share, other), daemon=True))
        holders[-1].start()
        other.close()
        channels.append(own)

    def ask_again():
        for channel in channels:
            channel.send("ask")
        return sum(channel.recv() for channel in channels)

    try:
        yield sum(channel.recv() for channel in channels), ask_again
    finally:
        for holder in holders:
            holder.kill()
            holder.join()


def paced(address):
    """(median, 99th percentile) in microseconds of requests on 16 kept connections, one at a time and with a pause between them, so
    that neither side has a queue."""
    clients = [http.Client(address) for _ in range(16)]
    times = []
    gc.disable()
    for number in range(PACED):
        client = clients[number % len(clients)]
        start = time.perf_counter()
        client.send(REQUEST)
        assert client.read_response().status == 200
        times.append((time.perf_counter() - start) * 1e6)
        time.sleep(PAUSE)
    gc.enable()
    for client in clients:
        client.close()
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100]


def measure(cogi):
    """Paced median and p99 in us, and of 64 connections without a pause p99 and CPU time per request in us and requests/s. Of several
    rounds the best of each: what else the machine does can only make them worse, what the connections cost is in all of them."""
    rows = []
    for _ in range(ROUNDS):
        load, cpu = cpu_per_request(cogi, f"http://127.0.0.1:{cogi.port}/", 64, seconds=2)
        assert load.errors == 0
        rows.append((*paced(cogi.http), load.p99 * 1e3, cpu, load.per_second))
    *times, rates = zip(*rows)
    return [*map(min, times), max(rates)]


def main():
    workers = max(2, math.ceil(IDLE * 1.3 / DESCRIPTORS))
    with Bench() as bench:
        cogi = bench.cogi([{"path": "/", "native": "hello"}], workers=workers, timeouts={"keep_alive": "1h"},
                          limits={"connections": DESCRIPTORS, "keep_alive_requests": 1_000_000_000})
        os.sched_setaffinity(0, {1})
        paced(cogi.http)
        alone = measure(cogi)
        base = sum(processes.resident_bytes(pid) for pid in cogi.workers())
        start = time.monotonic()
        with idle_clients(cogi.http) as (count, ask_again):
            seconds = time.monotonic() - start
            memory = (sum(processes.resident_bytes(pid) for pid in cogi.workers()) - base) / count
            spread = [len(processes.sockets(pid)) for pid in cogi.workers()]
            beside = measure(cogi)
            again = ask_again()
        assert processes.wait_until(lambda: sum(len(processes.sockets(pid)) for pid in cogi.workers()) < 100 * workers, 60, 0.5)
        after = measure(cogi)
    table(f"{count:,} idle kept HTTP connections on {workers} workers ({min(spread):,} to {max(spread):,} each), opened in {seconds:.0f} s",
          ["", "paced: median us", "p99 us", "64 at once: p99 us", "CPU us", "requests/s"],
          [["alone", *alone], ["beside them", *beside], ["after them", *after]])
    print(f"  {again:,} of them were asked once more: all answered. Resident memory of the workers: {memory:,.0f} bytes each\n")
    for name, column in (("median of paced requests", 0), ("p99 of 64 at once", 2), ("CPU time of 64 at once", 3)):
        verdict(f"{name}, beside / without", 2 * beside[column] / (alone[column] + after[column]), 1.1, at_most=True)
    verdict("resident bytes of an idle connection", memory, 1024, at_most=True)


if __name__ == "__main__":
    main()
