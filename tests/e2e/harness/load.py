"""Clients that ask without a pause and keep account of every request, so that each one that is lost can be laid to somebody.

Client number N speaks from 127.0.1.N and has one connection at a time: whose connections a process holds (processes.tcp_peers())
tells whose requests it has. Through nginx each client has an upstream of its own, which speaks to cogi from the same address
(nginx_upstreams(), NGINX_LOCATIONS)."""

import collections
import itertools
import os
import random
import signal
import threading
import time

from . import http, processes

# A request without its right answer: the client's number, when it began and when it was lost, and what came instead.
Lost = collections.namedtuple("Lost", "client began ended method problem")
# The end of a process by kill -9: when it was frozen, when it was gone, and whose connections it had.
Death = collections.namedtuple("Death", "pid frozen gone clients")


def source(client):
    return f"127.0.1.{client}"


class Load:
    """`count` clients, each in a thread, from the `with` on to its end. `request(client, chance)` makes a (method, bytes of the
    request, function that tells whether an answer is right)."""

    def __init__(self, address, request, count=20):
        self.address, self.request = address, request
        self.answered = 0
        self.lost = []
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(1, count + 1)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, number):
        chance = random.Random(number)
        connection = None
        answered, lost = 0, []
        for _ in itertools.takewhile(lambda _: not self._done.is_set(), itertools.count()):
            method, data, is_right = self.request(number, chance)
            began = time.monotonic()
            connection, problem = self._ask(connection, number, data, is_right)
            if problem is None:
                answered += 1
            else:
                lost.append(Lost(number, began, time.monotonic(), method, problem))
        if connection is not None:
            connection.close()
        with self._lock:
            self.answered += answered
            self.lost += lost

    def _ask(self, connection, number, data, is_right):
        """One request, on the kept connection if there is one; returns (the connection to keep or None, None or what went wrong)."""
        try:
            if connection is not None and connection.peer_has_left():
                connection.close()
                connection = None
            if connection is None:
                connection = http.Client(self.address, 60, source(number))
            connection.send(data)
            answer = connection.read_response()
            problem = None if is_right(answer) else f"status {answer.status}"
            keep = problem is None and answer.headers.get("connection", "").lower() != "close"
        except (OSError, ValueError) as error:
            problem, keep = repr(error), False
        if not keep and connection is not None:
            connection.close()
            connection = None
        return connection, problem


def kill(victim):
    """kill -9, with a look at whose connections the process has: it is stopped for the moment that this takes."""
    frozen = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    processes.wait_until(lambda: processes.state(victim) in ("T", "Z", ""), 5, 0.001)
    clients = {int(peer.rpartition(".")[2]) for peer in processes.tcp_peers(victim) if peer.startswith("127.0.1.")}
    os.kill(victim, signal.SIGKILL)
    # A zombie's descriptors are closed: from here on every client can see that its connection has ended.
    processes.wait_until(lambda: not processes.is_running(victim), 5, 0.001)
    return Death(victim, frozen, time.monotonic(), clients)


def unexplained(lost, deaths):
    """The lost requests that were not in flight on a process that died: begun before it was gone, on a connection that it held, and
    lost by its end."""
    return [one for one in lost if not any(
        one.client in death.clients and one.began <= death.gone and one.ended >= death.frozen for death in deaths)]


def nginx_upstreams(port, count=20):
    """An upstream for each client: FastCGI at a port of 127.0.0.1, over one kept connection."""
    return "\n".join(f"upstream client_{number} {{ server 127.0.0.1:{port}; keepalive 1; keepalive_requests 1000000; }}"
                     for number in range(1, count + 1))


# Each client's requests go through its own upstream, and are not repeated.
NGINX_LOCATIONS = """
location / {
  include /etc/nginx/fastcgi_params;
  fastcgi_pass client_$http_x_client;
  fastcgi_bind 127.0.1.$http_x_client;
  fastcgi_keep_conn on;
  fastcgi_next_upstream off;
}
"""
