"""A FastCGI client that says exactly what it is told to: records byte by byte, right or wrong."""

import socket
import struct

VERSION = 1
BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)


def record(kind, content=b"", request=1, padding=0, version=VERSION, length=None):
    """One record; `length` may lie about the content."""
    length = len(content) if length is None else length
    return struct.pack("!BBHHBx", version, kind, request, length, padding) + content + b"\0" * padding


def stream(kind, content, request=1, piece=65535):
    """A stream: its records, and the empty one that ends it."""
    pieces = [record(kind, content[at:at + piece], request) for at in range(0, len(content), piece)]
    return b"".join(pieces) + record(kind, b"", request)


def begin(role=RESPONDER, flags=KEEP_CONN, request=1):
    return record(BEGIN_REQUEST, struct.pack("!HB5x", role, flags), request)


def _length(value):
    return struct.pack("!B", value) if value < 128 else struct.pack("!I", value | 0x80000000)


def pair(name, value):
    name, value = (text.encode() if isinstance(text, str) else text for text in (name, value))
    return _length(len(name)) + _length(len(value)) + name + value


def pairs(variables):
    return b"".join(pair(name, value) for name, value in variables.items())


def variables(path, method="GET", query="", body=b"", more=None):
    """The meta-variables that a front end sends for a request."""
    result = {
        "REQUEST_METHOD": method, "REQUEST_URI": path + ("?" + query if query else ""), "SCRIPT_NAME": path,
        "DOCUMENT_URI": path, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "4711",
        "HTTP_HOST": "localhost", "CONTENT_LENGTH": str(len(body)) if body else "", "CONTENT_TYPE": "",
    }
    result.update(more or {})
    return result


def request(path, method="GET", query="", body=b"", more=None, flags=KEEP_CONN, number=1):
    """A whole request, as a front end sends it."""
    return (begin(flags=flags, request=number)
            + stream(PARAMS, pairs(variables(path, method, query, body, more)), number)
            + stream(STDIN, body, number))


class Answer:
    """What came back for one request."""

    def __init__(self):
        self.stdout = b""
        self.stderr = b""
        self.app_status = None
        self.protocol_status = None

    @property
    def head(self):
        return self.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1")

    @property
    def body(self):
        for mark in (b"\r\n\r\n", b"\n\n"):
            if mark in self.stdout:
                return self.stdout.partition(mark)[2]
        return b""

    @property
    def status(self):
        for line in self.head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "status":
                return int(value.split()[0])
        return 200 if self.stdout else None


class Client:
    """One FastCGI connection, to a unix socket's path or to (host, port)."""

    def __init__(self, address, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
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

    def _take(self, size):
        while len(self.buffer) < size:
            got = self.socket.recv(65536)
            if not got:
                return None
            self.buffer += got
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_record(self):
        """(type, request id, content), or None at the end of the connection."""
        head = self._take(8)
        if head is None:
            return None
        _, kind, number, length, padding = struct.unpack("!BBHHBx", head)
        content = self._take(length + padding)
        if content is None:
            return None
        return kind, number, content[:length]

    def read_answers(self, count=1):
        """{request id: Answer} until `count` requests have ended; ConnectionError if the connection ends before."""
        answers, ended = {}, 0
        while ended < count:
            got = self.read_record()
            if got is None:
                raise ConnectionError(f"closed after {ended} of {count} answers")
            kind, number, content = got
            answer = answers.setdefault(number, Answer())
            if kind == STDOUT:
                answer.stdout += content
            elif kind == STDERR:
                answer.stderr += content
            elif kind == END_REQUEST:
                answer.app_status, answer.protocol_status = struct.unpack("!IB3x", content)
                ended += 1
            else:
                raise ConnectionError(f"unexpected record of type {kind}")
        return answers

    def ask(self, path, **how):
        """One request and its Answer, on this connection."""
        self.send(request(path, **how))
        return self.read_answers()[how.get("number", 1)]

    def closed_by_peer(self, timeout=10):
        """True once the peer has closed; what it still sent is thrown away."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
