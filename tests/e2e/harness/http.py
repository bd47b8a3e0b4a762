"""HTTP clients: one that says exactly what it is told to, and one that asks many things at once."""

import asyncio
import collections
import select
import socket

Response = collections.namedtuple("Response", "status headers body")


class Truncated(ConnectionError):
    """The connection ended before the answer did."""


def request(target, method="GET", headers=None, body=None, host="localhost"):
    """The bytes of a request; `body` gets a Content-Length."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def _parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    version, status = lines[0].split(" ", 2)[:2]
    headers = {}
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            name = name.lower()
            value = value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version, int(status), headers


class Client:
    """One blocking connection, to a unix socket's path or to (host, port), there from the address `source` if that is given."""

    def __init__(self, address, timeout=20, source=None):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def peer_has_left(self):
        """Of a connection that rests: whether the server has closed it, as careful clients look before they send."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def _more(self):
        got = self.socket.recv(262144)
        if not got:
            raise Truncated("closed in the middle of an answer" if self.buffer else "closed without an answer")
        self.buffer += got

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    def _exactly(self, size):
        pieces, missing = [], size
        while missing > 0:
            if not self.buffer:
                self._more()
            piece, self.buffer = self.buffer[:missing], self.buffer[missing:]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _chunked(self):
        pieces = []
        while (size := int(self._until(b"\r\n").split(b";")[0], 16)) > 0:
            pieces.append(self._exactly(size))
            self._until(b"\r\n")
        while self._until(b"\r\n"):
            pass
        return b"".join(pieces)

    def read_head(self):
        """(status, headers) of the next answer."""
        _, status, headers = _parse_head(self._until(b"\r\n\r\n"))
        return status, headers

    def read_response(self, method="GET"):
        """The next answer; Truncated if the connection ends before it does."""
        status, headers = self.read_head()
        while status == 100:
            status, headers = self.read_head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunked()
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            body = self.read_to_end()
        return Response(status, headers, body)

    def read_to_end(self):
        """Everything until the peer closes."""
        try:
            while True:
                self._more()
        except (Truncated, ConnectionResetError):
            taken, self.buffer = self.buffer, b""
            return taken

    def ask(self, target, method="GET", headers=None, body=None):
        self.send(request(target, method, headers, body))
        return self.read_response(method)


def ask(address, target, method="GET", headers=None, body=None, timeout=20):
    """One request on a connection of its own."""
    with Client(address, timeout) as client:
        return client.ask(target, method, headers, body)


async def _read_response(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    _, status, headers = _parse_head(head)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        pieces = []
        while (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) > 0:
            pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        body = b"".join(pieces)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif status in (204, 304):
        body = b""
    else:
        body = await reader.read()
    return Response(status, headers, body)


async def _open(address):
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address, limit=1 << 20)
    return await asyncio.open_connection(*address, limit=1 << 20)


async def _worker(address, source, visit, kept, timeout):
    reader = writer = None
    for job in source:
        try:
            if writer is None:
                reader, writer = await asyncio.wait_for(_open(address), timeout)
            writer.write(job[0])
            await writer.drain()
            answer = await asyncio.wait_for(_read_response(reader), timeout)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
            answer = error if not isinstance(error, asyncio.IncompleteReadError) else Truncated(str(error))
        visit(job[1], answer)
        failed = isinstance(answer, Exception)
        if writer is not None and (failed or not kept or answer.headers.get("connection", "").lower() == "close"):
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


def ask_all(address, jobs, at_once, visit, kept=True, timeout=60):
    """Sends all jobs, `at_once` of them at any time. A job is (bytes of a request, key); visit(key, answer) gets a Response
    or the exception that came instead of it. `jobs` may be a generator: it is asked when a connection is free."""
    source = iter(jobs)

    async def run():
        await asyncio.gather(*(_worker(address, source, visit, kept, timeout) for _ in range(at_once)))
    asyncio.run(run())
