"""What keeps cogi from starting is said in words that tell the mend, with exit status 1, and nothing is left running."""

import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

from harness import case, fastcgi, paths, processes


class StartErrors(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cogi-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.join(self.folder, "cogi.json")
        self.port = paths.free_port()

    def config(self, **keys):
        whole = {"listen": [f"http:127.0.0.1:{self.port}"], "routes": [{"path": "/", "static": self.folder}]}
        whole.update(keys)
        return json.dumps(whole, indent=2)

    def refused(self, text, *words, command="serve", cogi=paths.COGI, **how):
        """Runs cogi, expects exit status 1 and all `words` in the message; returns it."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path, 0o644)
        words_of_command = [command, "--allow-root"] if command == "serve" else [command]
        with subprocess.Popen([cogi, *words_of_command, self.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              start_new_session=True, **how) as process:
            try:
                message = process.communicate(timeout=30)[0]
            except subprocess.TimeoutExpired:
                for pid in processes.session_members(process.pid):
                    os.kill(pid, 9)
                self.fail("it serves")
        self.assertEqual(process.returncode, 1, message)
        for word in words:
            self.assertIn(word, message)
        self.assertEqual(processes.session_members(process.pid), {}, "left behind")
        return message

    def test_configuration_errors_name_the_place_and_the_mend(self):
        cases = {
            "unknown key": (self.config(workrs=2), ["cogi.json:", "workrs", "workers"]),
            "nested unknown key": (self.config(timeouts={"heder": "5s"}), ["heder", "header"]),
            "wrong type": (self.config(workers="many"), ["workers"]),
            "impossible value": (self.config(workers=100000), ["workers", "1024"]),
            "no such route form": (self.config(routes=[{"path": "/"}]), ["routes"]),
            "bad listener": (self.config(listen=["gopher:127.0.0.1:70"]), ["gopher", "fastcgi"]),
            "no JSON": ("{ \"workers\": }", ["cogi.json:1"]),
            "empty": ("", ["cogi.json"]),
        }
        for name, (text, words) in cases.items():
            for command in ("serve", "check"):
                with self.subTest(name, command=command):
                    self.refused(text, *words, command=command)

    def test_a_missing_configuration_file(self):
        missing = os.path.join(self.folder, "nowhere.json")
        result = subprocess.run([paths.COGI, "serve", "--allow-root", missing], capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 1)
        self.assertIn("nowhere.json", result.stderr + result.stdout)

    def test_check_prints_the_table_of_routes(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(self.config(routes=[{"path": "/files/", "static": self.folder}, {"path": "/", "site": self.folder}]))
        result = subprocess.run([paths.COGI, "check", self.path], capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("/files/", result.stdout)
        self.assertIn(self.folder, result.stdout)

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.port))
            other.listen()
            self.refused(self.config(), str(self.port), "in use")

    def test_a_unix_socket_that_somebody_serves(self):
        path = os.path.join(self.folder, "live.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen()
            self.refused(self.config(listen=[f"fastcgi:unix:{path}"]), path)
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode), "the live socket was taken away")

    def test_a_file_in_place_of_the_unix_socket_is_kept(self):
        path = os.path.join(self.folder, "precious.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mine")
        self.refused(self.config(listen=[f"fastcgi:unix:{path}"]), path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")

    def test_a_folder_without_permission_to_make_the_socket(self):
        closed = os.path.join(self.folder, "closed")
        os.mkdir(closed, 0o555)
        path = os.path.join(closed, "cogi.sock")
        os.chmod(self.folder, 0o755)
        binary = os.path.join(self.folder, "bin")
        os.mkdir(binary, 0o755)
        for name in os.listdir(paths.BUILD):
            if name == "cogi" or name.startswith("libcogi.so"):
                shutil.copy(os.path.join(paths.BUILD, name), binary, follow_symlinks=True)
        how = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        self.refused(self.config(listen=[f"fastcgi:unix:{path}"]), path, "ermission", cogi=os.path.join(binary, "cogi"), **how)

    def test_a_route_to_a_missing_folder(self):
        self.refused(self.config(routes=[{"path": "/", "static": os.path.join(self.folder, "nowhere")}]), "nowhere")

    def test_an_unwritable_log(self):
        self.refused(self.config(log={"error": os.path.join(self.folder, "no", "such", "folder", "error.log")}), "error.log")


class StaleSocket(case.E2eTest):
    def test_a_dead_unix_socket_is_replaced(self):
        path = os.path.join(self.folder, "stale.sock")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        self.start_cogi(also_listen=[f"fastcgi:unix:{path}"])
        with fastcgi.Client(path) as client:
            self.assertEqual(client.ask("/wait.cgi").status, 200)


if __name__ == "__main__":
    unittest.main()
