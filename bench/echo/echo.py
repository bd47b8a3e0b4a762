#!/usr/bin/env python3
"""An echo server of plain blocking calls in coroutines against a loop on epoll written by hand, in one run.

    bench/echo/echo.py BUILD_FOLDER [CONNECTIONS] [SECONDS]
"""

import os
import subprocess
import sys


ROUNDS = 5


def cpu_nanoseconds(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def measure(folder, how, connections, seconds):
    server = subprocess.Popen(["taskset", "-c", "0", os.path.join(folder, "bench_echo_server"), how],
                              stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        load = subprocess.Popen(["taskset", "-c", "1", os.path.join(folder, "bench_echo_load"), port, str(connections),
                                 str(seconds)], stdout=subprocess.PIPE, text=True)
        if load.stdout.readline() != "measuring\n":
            raise SystemExit("the load did not start")
        before = cpu_nanoseconds(server.pid)
        echoes = int(load.stdout.readline())
        used = cpu_nanoseconds(server.pid) - before
        load.wait()
    finally:
        server.kill()
        server.wait()
    return echoes / seconds, used / echoes


def main():
    folder = os.path.join(sys.argv[1], "bench", "echo")
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    rounds = {}
    for _ in range(ROUNDS):  # alternately, so that other work on the machine meets all of them
        for how in ("epoll", "private", "shared"):
            rounds.setdefault(how, []).append(measure(folder, how, connections, seconds))
    best = {how: (max(rate for rate, _ in values), min(cost for _, cost in values)) for how, values in rounds.items()}
    print(f"{connections} connections, 64 bytes, one at a time each; best of {ROUNDS} rounds of {seconds} s, alternately")
    print(f"{'server':24}{'echoes/s':>12}{'CPU ns/echo':>14}{'throughput':>12}{'CPU time':>10}")
    for how, name in (("epoll", "hand-written epoll loop"), ("private", "coroutines, private"),
                      ("shared", "coroutines, shared")):
        rate, cost = best[how]
        print(f"{name:24}{rate:12.0f}{cost:14.0f}{rate / best['epoll'][0]:11.2f}x{cost / best['epoll'][1]:9.2f}x")


if __name__ == "__main__":
    main()
