"""The server's life: drain, stop, reload, log rotation, the end of the master. Nobody's request is lost where that can be helped."""

import json
import os
import re
import signal
import unittest

from harness import case, fastcgi, http, processes


class Stop(case.E2eTest):
    def start_with_requests(self, count, milliseconds):
        """cogi, and connections with a request in flight on each."""
        cogi = self.start_cogi()
        clients = [http.Client(cogi.http, timeout=60) for _ in range(count)]
        for client in clients:
            client.send(http.request(f"/wait.cgi?ms={milliseconds}"))
        processes.wait_until(lambda: len(self._connections(cogi.workers()[0])) >= count, 10)
        return cogi, clients

    def _finish_cogi(self, cogi):
        """These tests end the server themselves."""
        try:
            self.assertTrue(processes.wait_until(lambda: not cogi.left_behind(), 5), cogi.left_behind())
            self.check_log(cogi.errors())
        finally:
            cogi.kill()

    def test_term_finishes_what_is_in_flight_and_exits_0(self):
        cogi, clients = self.start_with_requests(100, 1000)
        idle = http.Client(cogi.http)
        idle.ask("/wait.cgi")
        cogi.process.send_signal(signal.SIGTERM)
        answers = [client.read_response() for client in clients]
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual({answer.headers.get("connection") for answer in answers}, {"close"})
        self.assertEqual(idle.read_to_end(), b"")
        self.assertEqual(cogi.process.wait(30), 0)
        with self.assertRaises(OSError):
            http.Client(cogi.http)

    def test_quit_is_as_term(self):
        cogi, clients = self.start_with_requests(10, 500)
        cogi.process.send_signal(signal.SIGQUIT)
        self.assertEqual({client.read_response().status for client in clients}, {200})
        self.assertEqual(cogi.process.wait(30), 0)

    def test_int_stops_at_once(self):
        self.expect_log(r"wait\.cgi|stopp|cancel|cut")
        cogi, clients = self.start_with_requests(10, 50_000)
        cogi.process.send_signal(signal.SIGINT)
        cogi.process.wait(20)
        for client in clients:
            client.read_to_end()

    def test_workers_end_when_the_master_is_killed(self):
        self.expect_log(r".")
        cogi, clients = self.start_with_requests(5, 300)
        os.kill(cogi.pid, signal.SIGKILL)
        cogi.process.wait(10)
        self.assertTrue(processes.wait_until(lambda: not cogi.left_behind(), 40), "workers outlive their master")
        for client in clients:
            client.close()


class Reload(case.E2eTest):
    def test_a_bad_configuration_leaves_the_old_one_serving(self):
        cogi = self.start_cogi()
        workers = cogi.workers()
        with open(cogi.config_path, encoding="utf-8") as file:
            good = file.read()
        with open(cogi.config_path, "w", encoding="utf-8") as file:
            file.write(good.replace('"workers"', '"wokers"'))
        cogi.process.send_signal(signal.SIGHUP)
        self.assert_logged(cogi, "wokers")
        self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)
        self.assertEqual(cogi.workers(), workers)

    def test_a_program_that_fails_keeps_a_new_generation_from_serving(self):
        cogi = self.start_cogi({"workers": 2, "self_check": ["/wait.cgi?ms=5", "/plain/wait?ms=5"],
                                "routes": [{"path": "/", "site": case.paths.PROGRAMS},
                                           {"path": "/plain/", "exec": os.path.join(case.paths.PROGRAMS, "plain")}]})
        self.assert_logged(cogi, r"self-check: /wait\.cgi\?ms=5 of localhost was answered 200")
        self.assert_logged(cogi, r"self-check: /plain/wait\?ms=5 of localhost was answered 200")
        workers = cogi.workers()
        with open(cogi.config_path, encoding="utf-8") as file:
            text = file.read()
        for path in ("/misbehave.cgi?mode=abort", "/plain/misbehave?mode=abort"):
            with self.subTest(path), open(cogi.config_path, "w", encoding="utf-8") as file:
                file.write(text.replace("/wait.cgi?ms=5", path))
                file.flush()
                cogi.process.send_signal(signal.SIGHUP)
                self.expect_log("misbehave|ended with exit code 3")  # the worker that checked itself
                self.assert_logged(cogi, "reload failed.*self-check: " + re.escape(path) + " of localhost was answered 500, expected 200")
                self.assertTrue(processes.wait_until(lambda: cogi.workers() == workers, 10))
                self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)

    def test_a_changed_configuration_is_served(self):
        cogi = self.start_cogi()
        self.assertEqual(http.ask(cogi.http, "/other/").status, 404)
        with open(cogi.config_path, encoding="utf-8") as file:
            text = file.read()
        site = os.path.join(self.folder, "other")
        os.mkdir(site)
        with open(os.path.join(site, "index.html"), "w", encoding="utf-8") as file:
            file.write("the other")
        with open(cogi.config_path, "w", encoding="utf-8") as file:
            file.write(text.replace('"routes": [', '"routes": [{"path": "/other/", "static": "%s"},' % site))
        cogi.process.send_signal(signal.SIGHUP)
        self.assertTrue(processes.wait_until(lambda: http.ask(cogi.http, "/other/").body == b"the other", 15))


class Logs(case.E2eTest):
    def test_usr1_opens_the_logs_again(self):
        cogi = self.start_cogi()
        http.ask(cogi.http, "/wait.cgi?before")
        processes.wait_until(lambda: "before" in open_text(cogi.access_log), 5)
        for path in (cogi.access_log, cogi.error_log):
            os.rename(path, path + ".1")
        cogi.process.send_signal(signal.SIGUSR1)
        self.assertTrue(processes.wait_until(lambda: os.path.exists(cogi.access_log), 5))
        http.ask(cogi.http, "/wait.cgi?after")
        self.assertTrue(processes.wait_until(lambda: "after" in open_text(cogi.access_log), 5))
        self.assertIn("before", open_text(cogi.access_log + ".1"))
        self.assertNotIn("after", open_text(cogi.access_log + ".1"))

    def test_json_says_how_long_a_request_computed_and_how_long_it_waited(self):
        log = os.path.join(self.folder, "access.json")
        cogi = self.start_cogi({"log": {"access": log, "error": os.path.join(self.folder, "error"), "format": "json"},
                                "routes": [{"path": "/", "site": case.paths.PROGRAMS},
                                           {"path": "/own/", "program": case.paths.PROGRAMS, "coroutine": {"stack": "private"}}]})
        for path in ("/wait.cgi?ms=300", "/own/wait.cgi?ms=300", "/wait.cgi?ms=0", "/misbehave.cgi?mode=compute"):
            self.assertEqual(http.ask(cogi.http, path).status, 200, path)
        self.assertTrue(processes.wait_until(lambda: open_text(log).count("\n") == 4, 5))
        waited, own, quick, computed = (json.loads(line) for line in open_text(log).splitlines())
        for entry in (waited, own):
            self.assertGreater(entry["wait_ms"], 290)
            self.assertLess(entry["cpu_ms"], 100)
        self.assertLess(quick["ms"], 290)
        self.assertGreater(computed["cpu_ms"], 150)
        self.assertEqual({entry["status"] for entry in (waited, own, quick)}, {200})
        self.assertEqual(len({entry["id"] for entry in (waited, own, quick, computed)}), 4)
        for entry in (waited, own, quick, computed):
            self.assertAlmostEqual(entry["cpu_ms"] + entry["wait_ms"], entry["ms"], delta=0.01)

    def test_what_a_client_sends_is_one_line_of_the_access_log(self):
        cogi = self.start_cogi()
        http.ask(cogi.http, "/wait.cgi?a", headers={"User-Agent": "evil \"quoted\" \\ \xff"})
        with fastcgi.Client(cogi.fastcgi) as client:
            client.ask("/wait.cgi", more={"HTTP_USER_AGENT": "evil\x1b[31m\nnext", "REQUEST_URI": "/wait.cgi?evil\r\nnext"})
        processes.wait_until(lambda: open_text(cogi.access_log).count("evil") >= 2, 5)
        text = open_text(cogi.access_log)
        lines = text.splitlines()
        self.assertEqual(sum("evil" in line for line in lines), 2, lines)
        self.assertFalse(any(line.startswith("next") for line in lines), lines)
        self.assertTrue(all(" " <= character <= "~" or character == "\n" for character in text), repr(text))


def open_text(path):
    """The text of a file, "" if it is not there."""
    try:
        with open(path, encoding="latin-1") as file:
            return file.read()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    unittest.main()
