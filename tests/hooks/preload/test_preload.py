"""libcogi.so preloaded into programs that know nothing of it changes nothing; the switches of the environment do what they
say."""

import http.server
import os
import subprocess
import sys
import threading
import unittest

BUILD = os.environ["COGI_BUILD"]
LIBRARY = os.path.join(BUILD, "libcogi.so")
SWITCHES = os.path.join(BUILD, "tests", "hooks", "preload", "hooks_switches")

# Sockets, threads, pipes, processes, time-outs, non-blocking mode, select, poll, dup2, signals.
PYTHON = r"""
import os, select, signal, socket, subprocess, tempfile, threading, time
a, b = socket.socketpair()
a.settimeout(0.05)
try:
    a.recv(1)
except TimeoutError as error:
    print("timeout", error)
a.settimeout(10)
threading.Thread(target=lambda: (time.sleep(0.05), b.sendall(b"x" * 300000))).start()
got = b""
while len(got) < 300000:
    got += a.recv(65536)
print(len(got))
r, w = os.pipe()
os.set_blocking(r, False)
try:
    os.read(r, 1)
except BlockingIOError as error:
    print(error)
os.write(w, b"abc")
print(select.select([r], [w], [], 1) == ([r], [w], []), os.read(r, 10))
copy = os.dup(w)
os.dup2(r, copy)
print(os.get_blocking(copy), os.get_blocking(w))
print(subprocess.run("echo out; cat; exit 3", shell=True, input=b"in", capture_output=True))
child = os.fork()
if child == 0:
    os.write(w, b"child")
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.read(r, 10))
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
time.sleep(0.1)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer = server.accept()[0]
peer.sendall(b"hello")
print(client.recv(10), peer.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM))
with tempfile.TemporaryFile() as file, open(os.devnull, "rb") as nothing:
    file.write(b"file")
    file.seek(0)
    print(os.sendfile(b.fileno(), file.fileno(), 0, 4), a.recv(4), nothing.read())
lock, done = threading.Lock(), []
def count():
    for _ in range(1000):
        with lock:
            done.append(1)
threads = [threading.Thread(target=count) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(done))
print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3])
"""


def run(command, preload, stdin=None, **environment):
    variables = {**os.environ, **environment}
    if preload:
        variables["LD_PRELOAD"] = LIBRARY
    done = subprocess.run(command, capture_output=True, env=variables, stdin=stdin, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Preload(unittest.TestCase):
    def same(self, command, **environment):
        without = run(command, False)
        self.assertEqual(run(command, True, **environment), without)
        return without

    def test_python_behaves_the_same(self):
        status, output, errors = self.same([sys.executable, "-c", PYTHON])
        self.assertEqual(status, 0, errors)
        self.assertIn(b"8000", output)

    def test_the_trace_of_a_program_without_coroutines_is_empty(self):
        self.same([sys.executable, "-c", "import time; time.sleep(0.01); print('done')"], COGI_TRACE="hooks")

    def test_shell_pipelines_behave_the_same(self):
        script = "seq 100000 | sort -n | tail -3; (sleep 0.05; echo late) | cat; exec 3</dev/null; read x <&3; echo $?"
        self.same(["bash", "-c", script])

    def test_curl_behaves_the_same(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"x" * 200000
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port = server.server_address[1]
        for host in ("127.0.0.1", "localhost"):
            status, output, errors = self.same(["curl", "-4", "-sS", f"http://{host}:{port}/"])
            self.assertEqual((status, len(output)), (0, 200000), errors)
        self.assertEqual(self.same(["curl", "-s", "http://127.0.0.1:9/"])[0], 7)  # -S would say how long it took


class Switches(unittest.TestCase):
    def test_hooks_are_on(self):
        self.assertEqual(run([SWITCHES], False), (0, b"hooked 1\novertaken 1, reads counted 1\n", b""))

    def test_COGI_HOOKS_off_turns_all_of_them_off(self):
        self.assertEqual(run([SWITCHES], False, COGI_HOOKS="off"), (0, b"hooked 0\novertaken 0, reads counted 0\n", b""))

    def test_COGI_TRACE_names_call_descriptor_result_and_time_parked(self):
        _, _, trace = run([SWITCHES], False, COGI_TRACE="hooks")
        lines = trace.decode().splitlines()
        self.assertEqual([line.split(",")[0] for line in lines],
                         ["cogi: 1 first: usleep(20000) = 0", "cogi: 1 first: write(4) = 1", "cogi: 1 first: read(3) = 1"])
        self.assertRegex(lines[0], r"parked (2|[3-9]\d|\d{3,})\d?\.\d{3} ms$")
        self.assertRegex(lines[1], r"parked 0\.000 ms$")


if __name__ == "__main__":
    unittest.main()
