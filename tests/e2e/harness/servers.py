"""Real servers for the tests: cogi, nginx, MariaDB. Each has a folder of its own, listens on a unix socket or a free port of
127.0.0.1, and runs in a session of its own, so that what it leaves behind can be found."""

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import time

from . import paths, processes

START_SECONDS = 30


class Server:
    """A background process in a session of its own."""

    def __init__(self, folder, command, environment=None, prefix=()):
        self.folder = folder
        self.output_path = os.path.join(folder, f"{os.path.basename(command[0])}.output")
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env=environment, start_new_session=True)
        self.pid = self.process.pid

    def output(self):
        with open(self.output_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, ready, what):
        """Waits until ready() is true; raises with the output if the process ends or the time is up."""
        def settled():
            return self.process.poll() is not None or ready()
        if not processes.wait_until(settled, START_SECONDS) or self.process.poll() is not None:
            self.kill()
            raise RuntimeError(f"{what} did not start (exit {self.process.poll()}):\n{self.output()}")

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Sends the signal and returns the exit status; kills the whole session if the time is up."""
        if self.process.poll() is None:
            self.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        """Ends every process of the session."""
        for pid in processes.session_members(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)

    def left_behind(self):
        """Processes of the session that outlive it."""
        return processes.session_members(self.pid)


def answers(address):
    """True if something accepts connections at (host, port) or at a unix socket's path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(2)
        try:
            probe.connect(address)
            return True
        except OSError:
            return False


class Cogi(Server):
    """`cogi serve` with a configuration: HTTP on a free port, FastCGI on a unix socket.

    `config` holds further keys of cogi.json; "routes" and "workers" are usual. With `site` it is `cogi serve DIRECTORY`, without
    any configuration; both logs are then what it prints.
    """

    def __init__(self, folder, config=None, site=None, also_listen=(), environment=None, prefix=()):
        self.port = paths.free_port()
        self.http = ("127.0.0.1", self.port)
        self.fastcgi = os.path.join(folder, "cogi.sock")
        self.error_log = os.path.join(folder, "error.log")
        self.access_log = os.path.join(folder, "access.log")
        self.config_path = os.path.join(folder, "cogi.json")
        listen = [f"http:127.0.0.1:{self.port}", f"fastcgi:unix:{self.fastcgi}", *also_listen]
        self.worker_count = (config or {}).get("workers", 1)
        if site is not None:
            command = [paths.COGI, "serve", site, "--workers", str(self.worker_count)]
            command += [word for address in listen for word in ("--listen", address)]
        else:
            self._write_config(listen, config or {})
            command = [paths.COGI, "serve", "--allow-root", self.config_path]
        super().__init__(folder, command, environment, prefix)
        self.wait_for(self.is_up, "cogi")

    def _write_config(self, listen, config):
        whole = {"workers": 1, "listen": listen, "routes": [{"path": "/", "site": paths.PROGRAMS}],
                 "log": {"access": self.access_log, "error": self.error_log}}
        whole.update(config)
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=2)

    def is_up(self):
        return answers(self.http) and len(self.workers()) >= self.worker_count

    def workers(self):
        return processes.children(self.pid)

    def errors(self):
        """The lines of the error log, and what was printed before the log was open."""
        text = self.output()
        if os.path.exists(self.error_log):
            with open(self.error_log, encoding="utf-8", errors="replace") as file:
                text += file.read()
        return text.splitlines()


class CogiAsInit(Cogi):
    """As Cogi, as the first process of a PID namespace, which is what it is in a container. Needs root."""

    def __init__(self, folder, config=None):
        super().__init__(folder, config, prefix=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])

    @property
    def master(self):
        return next(iter(processes.children(self.pid)), 0)

    def workers(self):
        return processes.children(self.master) if self.master else []

    def send_signal(self, number):
        os.kill(self.master, number)


class Nginx(Server):
    """nginx on a unix socket and on a port, with everything it writes in its folder. `locations` is what stands inside
    server {}; `upstream` names the unix sockets or ports behind it."""

    def __init__(self, folder, cogi, locations, keepalive=64, http=None, prefix=()):
        self.port = paths.free_port()
        self.http = ("127.0.0.1", self.port)
        self.unix = os.path.join(folder, "nginx.sock")
        self.error_log = os.path.join(folder, "nginx-error.log")
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        fastcgi_target = f"unix:{cogi.fastcgi}" if cogi else "127.0.0.1:9"
        http_target = f"127.0.0.1:{cogi.port}" if cogi else "127.0.0.1:9"
        kept = f"keepalive {keepalive}; keepalive_requests 1000000;" if keepalive else ""
        text = f"""
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {self.error_log} warn;
events {{ worker_connections 9000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  keepalive_requests 100000;
  upstream cogi_fastcgi {{ server {fastcgi_target}; {kept} }}
  upstream cogi_http {{ server {http_target}; {kept} }}
  {http or ""}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    listen unix:{self.unix} backlog=4096;
    {locations}
  }}
}}
"""
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        super().__init__(folder, [paths.tool("nginx"), "-p", folder, "-c", path, "-e", self.error_log], prefix=prefix)
        # It opens its sockets one after another: the first that answers says nothing of the second.
        self.wait_for(lambda: answers(self.http) and answers(self.unix), "nginx")

    def workers(self):
        return processes.children(self.pid)

    def errors(self):
        with open(self.error_log, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()


# The location blocks that people write, by front end.
FASTCGI_PASS = """
location / {
  include /etc/nginx/fastcgi_params;
  fastcgi_pass cogi_fastcgi;
  fastcgi_keep_conn on;
}
"""
PROXY_PASS = """
location / {
  proxy_pass http://cogi_http;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
}
"""


class MariaDb(Server):
    """A MariaDB server with a database folder of its own, on a unix socket, root without a password."""

    def __init__(self, folder, connections=400):
        self.socket = os.path.join(folder, "db.sock")
        data = os.path.join(folder, "data")
        user = pwd.getpwuid(os.geteuid()).pw_name
        subprocess.run([paths.tool("mariadb-install-db"), "--no-defaults", f"--datadir={data}", f"--user={user}",
                        "--auth-root-authentication-method=normal", "--skip-test-db"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        super().__init__(folder, [
            paths.tool("mariadbd"), "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-networking",
            f"--socket={self.socket}", f"--max-connections={connections}", "--back-log=400", "--skip-log-bin",
            f"--pid-file={folder}/db.pid", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M",
            "--performance-schema=OFF", "--innodb-flush-log-at-trx-commit=0"])
        self.wait_for(lambda: os.path.exists(self.socket) and answers(self.socket), "MariaDB")

    def query(self, sql):
        """The rows of a query, columns separated by tabs."""
        result = subprocess.run([paths.tool("mariadb"), "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B",
                                 "-e", sql], check=True, capture_output=True, text=True, timeout=30)
        return result.stdout.splitlines()

    def status(self, name):
        """A counter of SHOW GLOBAL STATUS."""
        return int(re.split(r"\s+", self.query(f"SHOW GLOBAL STATUS LIKE '{name}'")[0])[1])


def pause_until_idle(pids, seconds=5.0):
    """Waits until the processes use no CPU time for a moment."""
    end = time.monotonic() + seconds
    before = processes.cpu_nanoseconds(pids)
    while time.monotonic() < end:
        time.sleep(0.2)
        now = processes.cpu_nanoseconds(pids)
        if now == before:
            return
        before = now
