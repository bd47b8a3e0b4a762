"""FastCGI applications behind cogi: php-fpm, and one that does exactly what a test wants, right or wrong."""

import os
import pwd
import socket
import struct
import threading

from . import fastcgi, paths, servers


class PhpFpm(servers.Server):
    """php-fpm with so many children on a unix socket."""

    def __init__(self, folder, children=4):
        self.socket = os.path.join(folder, "php-fpm.sock")
        user = pwd.getpwuid(os.geteuid()).pw_name
        path = os.path.join(folder, "php-fpm.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""[global]
error_log = {folder}/php-fpm.log
daemonize = no
[www]
user = {user}
listen = {self.socket}
listen.backlog = 4096
pm = static
pm.max_children = {children}
""")
        as_root = ["--allow-to-run-as-root"] if os.geteuid() == 0 else []
        super().__init__(folder, [php_fpm(), *as_root, "--nodaemonize", "--fpm-config", path])
        self.wait_for(lambda: os.path.exists(self.socket) and servers.answers(self.socket), "php-fpm")


def php_fpm():
    """The path of php-fpm, whose name has a version on Debian."""
    for folder in ("/usr/sbin", "/usr/local/sbin"):
        for name in sorted(os.listdir(folder), reverse=True):
            if name.startswith("php-fpm"):
                return os.path.join(folder, name)
    raise FileNotFoundError("php-fpm is not installed: apt-get install php-fpm")


class Application:
    """Listens on a unix socket, in this process; `answer(connection)` does what it likes with each Connection, in a thread of
    its own."""

    def __init__(self, folder, answer, name="application.sock"):
        self.path = os.path.join(folder, name)
        self.answer = answer
        self.accepted = 0
        self.errors = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(128)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            peer.settimeout(20)
            try:
                self.answer(Connection(peer))
            except (OSError, EOFError):
                pass
            except AssertionError as error:
                self.errors.append(error)

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()


class Connection:
    """One connection from cogi to the application."""

    def __init__(self, peer):
        self.peer = peer

    def send(self, data):
        self.peer.sendall(data)

    def take(self, size):
        data = b""
        while len(data) < size:
            got = self.peer.recv(size - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def record(self):
        _, kind, number, length, padding = struct.unpack("!BBHHBx", self.take(8))
        return kind, number, self.take(length + padding)[:length]

    def request(self):
        """Reads a request to its end: (variables, body, flags)."""
        params, body, flags = b"", b"", 0
        while True:
            kind, _, content = self.record()
            if kind == fastcgi.BEGIN_REQUEST:
                flags = content[2]
            elif kind == fastcgi.PARAMS:
                params += content
            elif kind == fastcgi.STDIN and content:
                body += content
            elif kind == fastcgi.STDIN:
                return variables(params), body, flags
            elif kind == fastcgi.ABORT_REQUEST:
                raise EOFError

    def respond(self, output, end=True):
        """STDOUT with `output`, and the end of the request."""
        data = fastcgi.stream(fastcgi.STDOUT, output) if end else b"".join(
            fastcgi.record(fastcgi.STDOUT, output[at:at + 60000]) for at in range(0, len(output), 60000))
        self.send(data + (END if end else b""))


END = fastcgi.record(fastcgi.END_REQUEST, bytes(8))
PAGE = b"Content-Type: text/plain\r\n\r\n"


def variables(params):
    """The name-value pairs of a PARAMS stream."""
    found, at = {}, 0

    def length():
        nonlocal at
        size = params[at]
        at += 1
        if size > 127:
            size = (size & 127) << 24 | int.from_bytes(params[at:at + 3], "big")
            at += 3
        return size

    while at < len(params):
        name_size = length()
        value_size = length()
        found[params[at:at + name_size].decode()] = params[at + name_size:at + name_size + value_size].decode("latin-1")
        at += name_size + value_size
    return found
