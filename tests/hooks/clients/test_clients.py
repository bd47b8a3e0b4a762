"""Unmodified client libraries against real servers: many coroutines of one thread, each making a call that takes 100 ms at
the server, finish together. The same runs under strace show that the thread waits in the event loop only."""

import os
import pwd
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
from harness import paths, servers  # noqa: E402
from waiting_calls import slow_calls  # noqa: E402

BUILD = os.environ["COGI_BUILD"]
CLIENTS = os.path.join(BUILD, "tests", "hooks", "clients", "hooks_clients")
DNS_PROXIES = os.path.join(BUILD, "tests", "hooks", "clients", "hooks_dns_proxies")
MODES = ("shared", "private")
# No call of the scheduler's thread that can wait takes longer, in seconds. A call that waits by design does so in each run; one that
# the machine's other work delays does not, so the best of a few runs counts, here as for the time.
WAITED_SECONDS = 0.005
RUNS = 3
TIMES = 3  # as long as one call, all of them may take


class Postgres(servers.Server):
    """PostgreSQL with a database folder of its own, on a unix socket. It refuses to run as root."""

    def __init__(self, folder):
        self.folder = folder
        tools = sorted(os.listdir("/usr/lib/postgresql"))[-1]
        tools = f"/usr/lib/postgresql/{tools}/bin"
        as_user = []
        if os.geteuid() == 0:
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = os.path.join(folder, "data")
        subprocess.run([*as_user, f"{tools}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
        super().__init__(folder, [f"{tools}/postgres", "-D", data, "-k", folder, "-c", "listen_addresses=",
                                  "-c", "fsync=off"], prefix=as_user)
        self.wait_for(lambda: servers.answers(os.path.join(folder, ".s.PGSQL.5432")), "postgres")
        time.sleep(0.5)


class Redis(servers.Server):
    def __init__(self, folder):
        self.socket = os.path.join(folder, "redis.sock")
        super().__init__(folder, ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", folder])
        self.wait_for(lambda: servers.answers(self.socket), "redis-server")


class SlowHttp:
    """The upstream that takes 100 ms."""

    def __init__(self):
        self.process = subprocess.Popen([CLIENTS, "upstream"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class DnsServers:
    """dnsmasq behind proxies that take 100 ms; see dns_proxies.cpp. `environment` is for those who are to ask them."""

    def __init__(self, folder, how, options):
        self.process = subprocess.Popen([DNS_PROXIES, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        servers_of = "".join(f"nameserver {address}\n" for address in self.process.stdout.readline().split())
        texts = {"RESOLV_CONF": servers_of + options, "HOSTS": "127.0.0.1 localhost\n", "NSSWITCH_CONF": "hosts: files dns\n"}
        self.environment = {}
        for name, text in texts.items():
            self.environment["COGI_" + name] = path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)

    def stop(self):
        self.process.communicate()  # closes its stdin, which ends it


class TlsNginx(servers.Server):
    """nginx with TLS in front of an upstream."""

    def __init__(self, folder, upstream_port):
        self.port = paths.free_port()
        self.certificate = os.path.join(folder, "certificate.pem")
        key = os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", self.certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        user = "user root;" if os.geteuid() == 0 else ""
        config = os.path.join(folder, "nginx.conf")
        temporary = "\n".join(f"  {kind}_temp_path {folder}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""daemon off; {user} worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4000; }}
http {{
  access_log off;
{temporary}
  server {{
    listen 127.0.0.1:{self.port} ssl backlog=2048;
    ssl_certificate {self.certificate};
    ssl_certificate_key {key};
    location = /ready {{ return 200 "ready\\n"; }}
    location / {{ proxy_pass http://127.0.0.1:{upstream_port}; }}
  }}
}}
""")
        super().__init__(folder, [paths.tool("nginx"), "-p", folder, "-c", config, "-e", f"{folder}/error.log"])
        self.wait_for(lambda: servers.answers(("127.0.0.1", self.port)), "nginx")


class Clients(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cogi-clients-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def keep(self, server):
        self.addCleanup(server.stop)
        return server

    def check(self, service, address, count, environment=None):
        self.environment = {**os.environ, **(environment or {})}
        for mode in MODES:
            with self.subTest(service=service, mode=mode):
                self._check_time(service, address, count, mode)
                self._check_calls(service, address, count, mode)

    def _check_time(self, service, address, count, mode):
        one = whole = 0
        for _ in range(RUNS):
            done = subprocess.run([CLIENTS, service, address, str(count), mode], capture_output=True, text=True, timeout=120,
                                  check=False, env=self.environment)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            one, whole = (float(number) for number in re.findall(r"\d+\.\d+", done.stdout))
            print(f"\n{service}, {mode} stacks: one {one:.3f} s, {count} at once {whole:.3f} s ({whole / one:.1f} times)")
            if whole <= TIMES * one:
                return
        self.fail(f"{count} calls took {whole / one:.1f} times as long as one")

    def _check_calls(self, service, address, count, mode):
        """No call of the scheduler's thread waits outside the event loop."""
        trace = os.path.join(self.folder, f"trace-{service}-{mode}")
        waited = []
        for _ in range(RUNS):
            subprocess.run(["strace", "-f", "-T", "-o", trace, CLIENTS, service, address, str(count), mode], check=True,
                           stdout=subprocess.DEVNULL, timeout=300, env=self.environment)
            with open(trace, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            waited, delayed = slow_calls(lines, WAITED_SECONDS)
            print(f"  under strace: {len(lines)} calls, {len(waited)} waited over 5 ms outside the event loop; {delayed} that cannot wait"
                  " were delayed")
            if not waited:
                return
        self.fail("\n".join(waited[:10]))

    def test_mariadb(self):
        server = self.keep(servers.MariaDb(self.folder, connections=600))
        self.check("mariadb", server.socket, 500)

    def test_postgres(self):
        self.keep(Postgres(self.folder))
        self.check("postgres", self.folder, 90)  # its own limit is 100

    def check_dns(self, how, options=""):
        dns = self.keep(DnsServers(self.folder, how, options))
        self.check("dns", how, 500, dns.environment)

    def test_dns(self):
        self.check_dns("answers")

    def test_dns_of_a_server_that_drops_udp(self):
        self.check_dns("drops", "options timeout:1 attempts:1\n")

    def test_dns_of_truncated_answers(self):
        self.check_dns("truncates")

    def test_redis(self):
        server = self.keep(Redis(self.folder))
        self.check("redis", server.socket, 500)

    def test_https(self):
        upstream = self.keep(SlowHttp())
        nginx = self.keep(TlsNginx(self.folder, upstream.port))
        self.check("https", f"https://127.0.0.1:{nginx.port}/ {nginx.certificate}", 500)


if __name__ == "__main__":
    unittest.main()
