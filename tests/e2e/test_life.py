"""The server's life: drain, stop, reload, log rotation, the end of the master. Nobody's request is lost where that can be helped."""

import json
import os
import signal
import threading
import time
import unittest

from harness import case, fastcgi, http, processes, servers

RELOADS = int(os.environ.get("COGI_E2E_RELOADS", "20"))


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


class Change(case.E2eTest):
    """Reloads, upgrades and killed workers under a load of GETs and POSTs, directly and through nginx, which does not try again."""

    def change_while_asked(self, cogi, address, times, change):
        """Calls change(number) `times` times while 20 clients ask; returns how many were answered, and the answers that are no
        right ones."""
        answered, wrong = [], []
        done = threading.Event()

        def visit(key, answer):
            method, body = key
            right = not isinstance(answer, Exception) and answer.status == 200 and (method == "GET" or answer.body == body)
            answered.append(method)
            if not right:
                wrong.append((method, getattr(answer, "status", answer)))

        def jobs():
            number = 0
            while not done.is_set():
                number += 1
                if number % 3 == 0:
                    yield http.request("/wait.cgi?ms=2"), ("GET", b"")
                else:
                    body = b"%d" % number * (number % 500)
                    yield http.request("/echo.cgi", "POST", body=body), ("POST", body)

        load = threading.Thread(target=http.ask_all, args=(address, jobs(), 20, visit))
        load.start()
        try:
            for number in range(times):
                before = set(cogi.workers())
                change(number, before)
                replaced = processes.wait_until(lambda before=before: self.replaced(cogi, before), 30)
                self.assertTrue(replaced, f"change {number}: {before}, {cogi.workers()}\n" + "\n".join(cogi.errors()))
        finally:
            done.set()
            load.join()
        return len(answered), wrong

    @staticmethod
    def replaced(cogi, before):
        return len(set(cogi.workers()) - before) >= cogi.worker_count

    def start(self, through_nginx):
        cogi = self.start_cogi({"workers": 2})
        if not through_nginx:
            return cogi, cogi.http
        return cogi, self.start_nginx(cogi, "fastcgi_next_upstream off;" + servers.FASTCGI_PASS).http


class Replaced(Change):
    def lose_nothing(self, times, number_of_signal):
        for through_nginx in (False, True):
            with self.subTest(through_nginx=through_nginx):
                cogi, address = self.start(through_nginx)
                answered, wrong = self.change_while_asked(
                    cogi, address, times, lambda *_: cogi.process.send_signal(number_of_signal))
                print(f"\n{times} x {signal.Signals(number_of_signal).name}, nginx {through_nginx}: "
                      f"{len(wrong)} of {answered} requests failed")
                self.assertEqual(wrong[:3], [], f"{len(wrong)} of {answered} requests failed")

    def test_reloads_lose_no_request(self):
        self.lose_nothing(RELOADS, signal.SIGHUP)

    def test_upgrades_lose_no_request(self):
        self.lose_nothing(max(RELOADS // 20, 2), signal.SIGRTMIN)


class Killed(Change):
    @staticmethod
    def replaced(cogi, before):
        return len(cogi.workers()) == cogi.worker_count and set(cogi.workers()) != before

    def test_kills_lose_what_that_worker_answered(self):
        """20 clients with one request each: a worker has at most so many in flight, and so many connections may break."""
        self.expect_log(r"signal 9|prematurely closed|reset by peer|Broken pipe|upstream")
        times = max(RELOADS // 5, 4)
        for through_nginx in (False, True):
            with self.subTest(through_nginx=through_nginx):
                cogi, address = self.start(through_nginx)
                in_flight = []

                def kill(_, before, in_flight=in_flight):
                    time.sleep(0.6)  # one that dies within its first second is taken for a crash loop
                    victim = min(before, key=processes.started)
                    os.kill(victim, signal.SIGSTOP)
                    in_flight.append(len(processes.sockets(victim)))
                    os.kill(victim, signal.SIGKILL)

                answered, wrong = self.change_while_asked(cogi, address, times, kill)
                print(f"\n{times} x kill -9, nginx {through_nginx}: {len(wrong)} of {answered} requests failed, "
                      f"{sum(in_flight)} sockets were open")
                self.assertLessEqual(len(wrong), min(20 * times, sum(in_flight)))
                self.assertGreater(answered, len(wrong))


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
