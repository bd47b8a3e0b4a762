"""CGI programs of any language, by exec: the site's cgi-bin/ folder, and routes to one executable."""

import gzip
import hashlib
import os
import random
import shutil
import subprocess
import unittest

from harness import case, fastcgi, http, processes, servers

SCRIPTS = {
    "environment": "printf 'Content-Type: text/plain\\n\\n'; env | sort; echo \"cwd=$(pwd)\"; echo \"args=$#\"",
    "cat": "printf 'Content-Type: application/octet-stream\\n\\n'; exec cat",
    "ignores-its-input": "printf 'Content-Type: text/plain\\n\\nnot interested\\n'",
    "slow": "printf 'Content-Type: text/plain\\n\\nfirst\\n'; sleep 30; echo last",
    "children": "printf 'Content-Type: text/plain\\n\\n'; echo $$; sleep 37 & sleep 37 & wait",
    "stderr": "printf 'Content-Type: text/plain\\n\\nok\\n'; echo 'a complaint of the script' >&2",
    "fails": "exit 3",
    "fds": "printf 'Content-Type: text/plain\\n\\n'; ls /proc/self/fd | wc -l",
    "redirect": "printf 'Location: /cgi-bin/environment?from=redirect\\n\\n'",
    "nph-raw": "printf 'HTTP/1.1 299 Own Words\\r\\nX-Own: yes\\r\\nContent-Length: 4\\r\\n\\r\\nbody'",
    "not-modified": "printf 'Status: 304 Not Modified\\n\\n'",
    "binary": "printf 'Content-Type: application/x-bytes\\n\\n\\000\\001\\377\\n'",
    "later": "printf 'Content-Type: text/plain\\n\\n'; echo; sleep 1; wc -c",
    "lines": "printf 'Content-Type: text/plain\\n\\n'; for i in 1 2 3; do echo $i; sleep 0.3; done",
}


def write_script(folder, name, body, interpreter="/bin/sh", mode=0o755):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!{interpreter}\n{body}\n")
    os.chmod(path, mode)


class Scripts(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.site = os.path.join(self.folder, "site")
        self.bin = os.path.join(self.site, "cgi-bin")
        os.makedirs(self.bin)
        for name, body in SCRIPTS.items():
            write_script(self.bin, name, body)
        self.cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site, "timeouts": {"handler": "5s"}}]})

    def ask(self, target, method="GET", **how):
        return http.ask(self.cogi.http, target, method, **how)

    def test_the_environment_is_that_of_rfc_3875_and_nothing_else(self):
        answer = self.ask("/cgi-bin/environment/extra/path?a=b", headers={"Proxy": "evil", "X-Own": "1", "X_Own": "2"})
        lines = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
        expected = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
                    "QUERY_STRING": "a=b", "SCRIPT_NAME": "/cgi-bin/environment", "PATH_INFO": "/extra/path",
                    "PATH_TRANSLATED": f"{self.site}/extra/path", "REMOTE_ADDR": "127.0.0.1", "HTTP_X_OWN": "1",
                    "SCRIPT_FILENAME": f"{self.bin}/environment", "cwd": self.bin, "args": "0",
                    "SERVER_PORT": str(self.cogi.port)}
        self.assertEqual({name: lines.get(name) for name in expected}, expected)
        for name in ("HTTP_PROXY", "CONTENT_LENGTH", "CONTENT_TYPE", "LD_PRELOAD", "HOME", "COGI_BUILD"):
            self.assertNotIn(name, lines)

    def test_a_post_of_1_mib_to_cat_returns(self):
        body = random.Random(8).randbytes(1 << 20)
        answer = self.ask("/cgi-bin/cat", "POST", body=body)
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())

    def test_a_post_of_10_mb_to_cat_through_nginx_returns(self):
        nginx = self.start_nginx(self.cogi, servers.FASTCGI_PASS)
        body = random.Random(9).randbytes(10_000_000)
        answer = http.ask(nginx.http, "/cgi-bin/cat", "POST", body=body, timeout=60)
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())

    def test_a_script_that_ignores_its_input(self):
        answer = self.ask("/cgi-bin/ignores-its-input", "POST", body=b"x" * 3_000_000)
        self.assertEqual(answer.body, b"not interested\n")

    def test_100_at_once(self):
        answers = []
        http.ask_all(self.cogi.http, ((http.request("/cgi-bin/cat", "POST", body=b"%d" % n), n) for n in range(100)), 100,
                     lambda n, answer: answers.append((n, answer)))
        self.assertEqual([(n, a) for n, a in answers if isinstance(a, Exception) or a.body != b"%d" % n], [])
        self.assertEqual(processes.children(self.cogi.workers()[0]), [])

    def test_a_body_that_has_to_wait_lies_in_the_folder_of_tmpdir(self):
        """The head of the answer leaves, so the body has to be in; the script takes it a second later."""
        spool = os.path.join(self.folder, "spool")
        os.mkdir(spool)
        cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site}]}, environment={**os.environ, "TMPDIR": spool})
        with http.Client(cogi.http) as client:
            client.send(http.request("/cgi-bin/later", "POST", body=b"x" * 1_000_000))
            worker = cogi.workers()[0]
            self.assertTrue(processes.wait_until(lambda: any(f.startswith(spool) for f in processes.fds(worker).values()), 10))
            self.assertEqual(client.read_response().body.split(), [b"1000000"])
        self.assertEqual(os.listdir(spool), [])

    def test_output_arrives_when_it_is_flushed(self):
        with http.Client(self.cogi.http) as client:
            client.send(http.request("/cgi-bin/lines"))
            client.read_head()
            first = client._until(b"1\n")
            self.assertNotIn(b"3\n", first + client.buffer)
            self.assertIn(b"3\n", client._until(b"0\r\n\r\n"))

    def test_the_process_group_ends_at_the_deadline(self):
        self.expect_log(r"children|deadline|time")
        with http.Client(self.cogi.http, timeout=30) as client:
            client.send(http.request("/cgi-bin/children"))
            client.read_head()
            client.read_to_end()
        self.assertTrue(processes.wait_until(lambda: not processes_of_script("37"), 15), "children are still there")

    def test_the_process_group_ends_when_the_client_leaves(self):
        self.expect_log(r".")
        client = http.Client(self.cogi.http)
        client.send(http.request("/cgi-bin/children"))
        client.read_head()
        self.assertTrue(processes.wait_until(lambda: processes_of_script("37"), 15), "the script did not start them")
        client.close()
        self.assertTrue(processes.wait_until(lambda: not processes_of_script("37"), 15), "children are still there")

    def test_a_script_that_takes_too_long_is_answered_504_or_cut(self):
        self.expect_log(r".")
        with http.Client(self.cogi.http, timeout=30) as client:
            client.send(http.request("/cgi-bin/slow"))
            self.assertEqual(client.read_head()[0], 200)
            with self.assertRaises(http.Truncated):
                client._chunked()

    def test_stderr_goes_to_the_error_log(self):
        self.assertEqual(self.ask("/cgi-bin/stderr").body, b"ok\n")
        self.assert_logged(self.cogi, "a complaint of the script")

    def test_a_script_that_fails_without_output(self):
        self.expect_log("fails")
        self.assertEqual(self.ask("/cgi-bin/fails").status, 500)

    def test_no_descriptor_of_the_server_is_inherited(self):
        kept = [http.Client(self.cogi.http) for _ in range(20)]
        for client in kept:
            client.ask("/cgi-bin/not-modified")
        self.assertLessEqual(int(self.ask("/cgi-bin/fds").body), 4)  # 0, 1, 2, and the one that ls reads
        for client in kept:
            client.close()

    def test_a_busy_worker_starts_them_as_an_idle_one(self):
        """2,000 connections are open: their descriptors neither reach the process nor are in the way of its own."""
        kept = [http.Client(self.cogi.http) for _ in range(2000)]
        self.assertLessEqual(int(self.ask("/cgi-bin/fds").body), 4)
        self.assertEqual(self.ask("/cgi-bin/cat", "POST", body=b"abc").body, b"abc")
        for client in kept:
            client.close()

    def test_responses(self):
        self.assertIn(b"QUERY_STRING=from=redirect", self.ask("/cgi-bin/redirect").body)
        self.assertEqual(self.ask("/cgi-bin/not-modified").status, 304)
        self.assertEqual(self.ask("/cgi-bin/binary").body, b"\0\1\xff\n")
        raw = self.ask("/cgi-bin/nph-raw")
        self.assertEqual((raw.status, raw.headers["x-own"], raw.body), (299, "yes", b"body"))
        with fastcgi.Client(self.cogi.fastcgi) as client:
            self.assertEqual(client.ask("/cgi-bin/nph-raw").status, 299)

    def test_what_cannot_run_is_never_shown(self):
        self.expect_log(r".")
        write_script(self.bin, "not-executable", "echo secret", mode=0o644)
        write_script(self.bin, "no-interpreter", "echo secret", interpreter="/no/such/interpreter")
        os.mkdir(os.path.join(self.bin, "folder"))
        os.symlink("/bin/ls", os.path.join(self.bin, "link"))
        for path in ("not-executable", "no-interpreter", "folder", "folder/", "link", "nowhere", "../../etc/passwd", "%2e%2e/secret",
                     "cat%2fcat", ""):
            with self.subTest(path):
                answer = self.ask("/cgi-bin/" + path)
                self.assertIn(answer.status, (400, 403, 404, 500, 502))
                self.assertNotIn(b"secret", answer.body)

    def test_an_environment_too_large_is_431(self):
        self.expect_log(r".")
        answer = self.ask("/cgi-bin/environment", headers={f"X-{n}": "v" * 3000 for n in range(20)})
        self.assertEqual(answer.status, 431)

    def test_what_the_kernel_does_not_pass_to_a_process_is_431(self):
        """More than the server refuses by itself may be allowed; one variable of 128 KiB is too much for exec (E2BIG)."""
        cogi = self.start_cogi({"limits": {"header_block": "1m"}, "routes": [{"path": "/", "site": self.site}]})
        kept = http.Client(cogi.http)
        self.addCleanup(kept.close)
        large = {"X-Large": "v" * 200_000}
        for _ in range(3):
            self.assertEqual(kept.ask("/cgi-bin/environment", headers=large).status, 431)
            self.assertEqual(kept.ask("/cgi-bin/environment", headers={"X-Large": "v" * 100_000}).status, 200)
        self.assert_logged(cogi, r"request \S+ /cgi-bin/environment: .*cannot be started: Argument list too long")
        self.assertEqual(processes.children(cogi.workers()[0]), [])

    @unittest.skipUnless(shutil.which("php-cgi"), "php-cgi is not installed")
    def test_a_php_page_through_php_cgi(self):
        write_script(self.bin, "page.php", "<?php echo $_SERVER['REQUEST_METHOD'], ' ', $_GET['a'] ?? '', ' ', $_POST['b'] ?? '';",
                     interpreter=shutil.which("php-cgi") or "")
        self.assertEqual(self.ask("/cgi-bin/page.php?a=1").body.split(b"\n")[-1], b"GET 1 ")
        answer = self.ask("/cgi-bin/page.php?a=2", "POST", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=b"b=3")
        self.assertEqual(answer.body.split(b"\n")[-1], b"POST 2 3")


class Limits(case.E2eTest):
    """What a route's "limits" mean for its programs."""

    def start(self, limits, scripts):
        folder = os.path.join(self.folder, "cgi-bin")
        os.mkdir(folder)
        for name, body in scripts.items():
            write_script(folder, name, body)
        return self.start_cogi({"routes": [{"path": "/cgi-bin/", "exec": folder, "limits": limits}]})

    def test_a_process_has_the_resource_limits_of_its_route(self):
        cogi = self.start({"exec_memory": "512m", "exec_cpu": "7s", "exec_files": 20, "exec_file_size": "1m"},
                          {"limits": "printf 'Content-Type: text/plain\\n\\n'; ulimit -v; ulimit -S -t; ulimit -n; ulimit -f"})
        self.assertEqual(http.ask(cogi.http, "/cgi-bin/limits").body.split(), [b"524288", b"7", b"20", b"2048"])

    def test_without_limits_it_has_those_of_the_server(self):
        cogi = self.start({}, {"limits": "printf 'Content-Type: text/plain\\n\\n'; ulimit -v; ulimit -t; ulimit -f"})
        own = subprocess.run(["sh", "-c", "ulimit -v; ulimit -t; ulimit -f"], capture_output=True, check=True).stdout
        self.assertEqual(http.ask(cogi.http, "/cgi-bin/limits").body.split(), own.split())

    def test_a_process_over_its_cpu_time_is_ended(self):
        cogi = self.start({"exec_cpu": "1s"}, {"loop": "while :; do :; done"})
        self.assertEqual(http.ask(cogi.http, "/cgi-bin/loop", timeout=60).status, 500)
        self.assert_logged(cogi, r"/cgi-bin/loop: .*ended by signal 24 \(CPU time limit exceeded\)")

    def test_more_output_than_allowed_is_cut(self):
        cogi = self.start({"output": "1m"}, {"much": "printf 'Content-Type: text/plain\\n\\n'; exec head -c 3000000 /dev/zero",
                                             "fits": "printf 'Content-Type: text/plain\\n\\n'; exec head -c 1000000 /dev/zero"})
        self.assertEqual(len(http.ask(cogi.http, "/cgi-bin/fits").body), 1_000_000)
        with http.Client(cogi.http) as client, self.assertRaises(http.Truncated):
            client.ask("/cgi-bin/much")
        self.assert_logged(cogi, r"/cgi-bin/much: .*wrote more than 1048576 bytes")

    def test_a_program_in_process_is_held_to_its_heap_and_output(self):
        cogi = self.start_cogi({"routes": [
            {"path": "/small.cgi", "program": case.program("leaks"), "limits": {"heap": "60k"}},
            {"path": "/free.cgi", "program": case.program("leaks")},
            {"path": "/short.cgi", "program": case.program("leaks"), "limits": {"output": 50}}]})
        # 64 KiB by malloc(), which the program sees fail.
        self.assertIn(b"lost 8500 01 ", http.ask(cogi.http, "/small.cgi?n=15").body)
        self.assertIn(b"lost 8500 11 ", http.ask(cogi.http, "/free.cgi?n=15").body)
        self.assertEqual(http.ask(cogi.http, "/short.cgi?n=15").status, 502)
        self.assert_logged(cogi, r"leaks.cgi: wrote more than 50 bytes")


def processes_of_script(mark):
    """`sleep MARK` processes."""
    found = []
    for pid in processes.all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read() == b"sleep\0" + mark.encode() + b"\0":
                    found.append(pid)
        except OSError:
            pass
    return found


def chunked(target, headers, body, size):
    """The bytes of a POST whose body comes in chunks of `size`, without a Content-Length."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[at:at + size] for at in range(0, len(body), size)))
    return http.request(target, "POST", {**headers, "Transfer-Encoding": "chunked"}) + chunks + b"0\r\n\r\n"


class Git(case.E2eTest):
    """A repository of 50 MB by `git http-backend`."""

    MEGABYTES = 50

    def setUp(self):
        super().setUp()
        backend = os.path.join(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip(),
                               "git-http-backend")
        self.repositories = os.path.join(self.folder, "repositories")
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.folder, "GIT_TERMINAL_PROMPT": "0",
                            "GIT_CONFIG_NOSYSTEM": "1"}
        self.git("init", "-q", "--bare", os.path.join(self.repositories, "big.git"))
        self.git("-C", os.path.join(self.repositories, "big.git"), "config", "http.receivepack", "true")
        self.git("config", "--global", "user.email", "nobody@example.invalid")
        self.git("config", "--global", "user.name", "Nobody")
        self.cogi = self.start_cogi({"limits": {"body": "1g"}, "routes": [{
            "path": "/git/", "exec": backend,
            "environment": {"GIT_PROJECT_ROOT": self.repositories, "GIT_HTTP_EXPORT_ALL": "1"}}]})
        self.expect_log("/git/big.git/")  # what git says on stderr

    def git(self, *words):
        return subprocess.run(["git", *words], check=True, capture_output=True, timeout=300, env=self.environment).stdout

    def make_work(self):
        work = os.path.join(self.folder, "work")
        self.git("init", "-q", "-b", "main", work)
        chance = random.Random(10)
        for number in range(self.MEGABYTES):
            with open(os.path.join(work, f"file{number}"), "wb") as file:
                file.write(chance.randbytes(1_000_000))
        for number in range(300):
            with open(os.path.join(work, f"small{number}"), "w", encoding="utf-8") as file:
                file.write(str(number))
        self.git("-C", work, "add", ".")
        self.git("-C", work, "commit", "-q", "-m", "all of it")
        return work

    def push_and_clone(self, address):
        url = f"http://127.0.0.1:{address[1]}/git/big.git"
        work = self.make_work()
        self.git("-C", work, "push", "-q", url, "main")
        clone = os.path.join(self.folder, "clone")
        self.git("clone", "-q", "-b", "main", url, clone)
        self.assertEqual(self.git("-C", clone, "rev-parse", "HEAD"), self.git("-C", work, "rev-parse", "HEAD"))
        self.git("-C", clone, "fsck", "--full")

    def test_push_and_clone_directly(self):
        trace = os.path.join(self.folder, "trace")
        self.environment["GIT_TRACE_CURL"] = trace
        self.push_and_clone(self.cogi.http)
        with open(trace, encoding="utf-8", errors="replace") as file:
            self.assertRegex(file.read(), "(?i)transfer-encoding: chunked")  # git's own way for a pack of more than 1 MiB

    def test_push_and_clone_through_nginx(self):
        nginx = self.start_nginx(self.cogi, "client_max_body_size 1g;" + servers.FASTCGI_PASS)
        self.push_and_clone(nginx.http)

    def test_push_and_clone_through_nginx_unbuffered(self):
        nginx = self.start_nginx(self.cogi, "client_max_body_size 1g; fastcgi_request_buffering off;" + servers.FASTCGI_PASS)
        self.push_and_clone(nginx.http)

    def test_gzip_and_chunked_request_bodies_arrive_untouched(self):
        self.push_and_clone(self.cogi.http)
        head = self.git("-C", os.path.join(self.folder, "work"), "rev-parse", "HEAD").decode().strip()
        want = f"want {head}\n"
        plain = f"{len(want) + 4:04x}{want}00000009done\n".encode()
        for body, coding in ((plain, {}), (gzip.compress(plain), {"Content-Encoding": "gzip"})):
            for chunk in (None, 7):
                with self.subTest(coding, chunk=chunk), http.Client(self.cogi.http, timeout=120) as client:
                    headers = {"Content-Type": "application/x-git-upload-pack-request", **coding}
                    client.send(http.request("/git/big.git/git-upload-pack", "POST", headers, body) if chunk is None
                                else chunked("/git/big.git/git-upload-pack", headers, body, chunk))
                    answer = client.read_response()
                    self.assertEqual(answer.status, 200)
                    self.assertIn(b"PACK", answer.body[:100])


if __name__ == "__main__":
    unittest.main()
