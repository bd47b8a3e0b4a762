"""Programs that die or print nonsense: the answer of the table in README.md for that request, and everybody else is served."""

import os
import unittest

from harness import case, fastcgi, http, processes

OTHERS = 500

# mode of programs/misbehave.cpp: status. Nothing of the answer was sent before it went wrong.
DEATHS = {"abort": 500, "throw": 500, "null": 500, "overflow": 500, "exit1": 500}
NONSENSE = {"nothing": 502, "noblank": 502, "noheader": 502, "status": 502, "statuslow": 502, "nul": 502, "cr": 502,
            "lf": 502, "fold": 502, "badname": 502, "endlesshead": 502, "circle": 500}
LOOPS = ("loop", "loop-math", "loop-text", "loop-heap", "loop-sort", "loop-print", "loop-stream", "loop-throw")
STALL = {"log": "300ms", "restart": "1s"}


class Misbehave(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.expect_log(r".")

    def others(self, cogi, meanwhile):
        """500 requests that wait half a second, all in flight while meanwhile() runs; every one must be answered."""
        clients = [http.Client(cogi.http, timeout=60) for _ in range(OTHERS)]
        for client in clients:
            client.send(http.request("/wait.cgi?ms=500"))
        processes.wait_until(lambda: len(self._connections(cogi.workers()[0])) >= OTHERS, 10)
        meanwhile()
        answers = []
        for client in clients:
            try:
                answers.append(client.read_response().status)
            except ConnectionError as error:
                answers.append(repr(error))
            client.close()
        self.assertEqual({answer: answers.count(answer) for answer in set(answers)}, {200: OTHERS})

    def test_a_program_that_dies_takes_nobody_with_it(self):
        for mode, status in DEATHS.items():
            with self.subTest(mode):
                cogi = self.start_cogi()

                def die(mode=mode, status=status, cogi=cogi):
                    self.assertEqual(http.ask(cogi.http, f"/misbehave.cgi?mode={mode}").status, status)
                self.others(cogi, die)
                self.assertTrue(processes.wait_until(lambda cogi=cogi: len(cogi.workers()) == 1, 20))
                self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)
                self.assert_logged(cogi, r"misbehave")

    def test_the_log_tells_where_a_deep_recursion_was_and_where_it_began(self):
        cogi = self.start_cogi()
        self.assertEqual(http.ask(cogi.http, "/misbehave.cgi?mode=overflow").status, 500)
        self.assertTrue(processes.wait_until(lambda: len(cogi.workers()) == 1, 20))
        self.assert_logged(cogi, r"misbehave.cgi: ended by signal 11 .*\(misbehave.cgi\+\d+\), \d+ more, .*, main \(misbehave.cgi\+\d+\)$")

    def test_programs_that_crash_leave_no_moment_unserved(self):
        """The only worker is replaced, again and again, and no other request is lost over it: not on new connections, and not on
        kept ones."""
        for kept in (False, True):
            with self.subTest(kept=kept):
                cogi = self.start_cogi()
                workers = set(cogi.workers())
                wrong = []

                def visit(status, answer, wrong=wrong):
                    if getattr(answer, "status", answer) != status:
                        wrong.append((status, answer))

                def jobs(cogi=cogi, workers=workers):
                    for number in range(3000):
                        crash = number % 300 == 0
                        workers.update(cogi.workers() if number % 100 == 0 else ())
                        yield http.request("/misbehave.cgi?mode=null" if crash else "/wait.cgi?ms=5"), 500 if crash else 200
                http.ask_all(cogi.http, jobs(), 10, visit, kept=kept)
                print(f"\n10 crashes in {len(workers)} workers: {len(wrong)} of 3000 requests failed")
                self.assertEqual(wrong[:3], [])
                self.assertGreater(len(workers), 1)
                self.assertTrue(processes.wait_until(lambda cogi=cogi: len(cogi.workers()) == 1, 40), cogi.workers())

    def test_a_program_that_loops_for_ever_takes_nobody_with_it(self):
        """It is ended alone, wherever it loops, and its worker is replaced when the others have their answers."""
        for mode in LOOPS:
            with self.subTest(mode):
                cogi = self.start_cogi({"stall": STALL})
                worker = cogi.workers()

                def loop(mode=mode, cogi=cogi):
                    self.assertEqual(http.ask(cogi.http, f"/misbehave.cgi?mode={mode}", timeout=40).status, 504)
                self.others(cogi, loop)
                self.assert_logged(cogi, r"a handler does not yield: /misbehave.cgi\?mode=loop")
                self.assert_logged(cogi, r"request \S+ /misbehave.cgi\S+: .*misbehave.cgi: computed for too long, and was ended; at .*main")
                self.assert_replaced(cogi, worker)

    def assert_replaced(self, cogi, workers):
        """Others serve in their place, and they are gone."""
        self.assertTrue(processes.wait_until(lambda: len(cogi.workers()) == len(workers) and not set(cogi.workers()) & set(workers), 20))
        self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)

    def test_a_loop_costs_no_other_request(self):
        """500 more come while it loops, on new connections: none is lost, whichever worker takes it."""
        cogi = self.start_cogi({"workers": 2, "stall": STALL})
        workers = set(cogi.workers())
        with http.Client(cogi.http, timeout=40) as client:
            client.send(http.request("/misbehave.cgi?mode=loop"))
            wrong = []

            def visit(_, answer):
                if getattr(answer, "status", answer) != 200:
                    wrong.append(answer)
            http.ask_all(cogi.http, ((http.request("/wait.cgi?ms=5"), number) for number in range(500)), 10, visit, kept=False)
            self.assertEqual(wrong, [])
            self.assertEqual(client.read_response().status, 504)
        self.assertTrue(processes.wait_until(lambda: len(set(cogi.workers()) - workers) == 1 and len(cogi.workers()) == 2, 20))
        self.assert_logged(cogi, "a handler does not yield")

    def test_a_loop_on_a_stack_of_its_own_is_ended_likewise(self):
        cogi = self.start_cogi({"stall": STALL, "routes": [
            {"path": "/wait.cgi", "program": case.program("wait")},
            {"path": "/", "program": case.program("misbehave"), "coroutine": {"stack": "private", "stack_size": "256k"}}]})
        worker = cogi.workers()
        self.others(cogi, lambda: self.assertEqual(http.ask(cogi.http, "/?mode=loop", timeout=40).status, 504))
        self.assert_replaced(cogi, worker)

    def test_nonsense_is_refused(self):
        for mode, status in NONSENSE.items():
            with self.subTest(mode):
                cogi = self.start_cogi()
                worker = cogi.workers()
                self.assertEqual(http.ask(cogi.http, f"/misbehave.cgi?mode={mode}").status, status)
                with fastcgi.Client(cogi.fastcgi) as client:
                    self.assertEqual(client.ask("/misbehave.cgi", query=f"mode={mode}").status, status)
                self.assertEqual(http.ask(cogi.http, "/wait.cgi").status, 200)
                self.assertEqual(cogi.workers(), worker)
                self.assert_logged(cogi, rf"request \S+-\S+-\S+[: ].*/misbehave\.cgi.*: \S+ .*(header|output|Status|redirect)|one too many")

    def test_more_output_than_announced_is_cut(self):
        cogi = self.start_cogi()
        with http.Client(cogi.http) as client:
            self.assertEqual(client.ask("/misbehave.cgi?mode=longer").body, b"abc")
            self.assertEqual(client.ask("/wait.cgi").status, 200)
        self.assert_logged(cogi, r"answer_too_long: the answer is longer than its Content-Length in request \S+-\S+-\S+ /misbehave.cgi\?mode=longer")

    def test_less_output_than_announced_ends_unclean(self):
        cogi = self.start_cogi()
        with http.Client(cogi.http) as client, self.assertRaises(http.Truncated):
            client.ask("/misbehave.cgi?mode=shorter")
        self.assert_logged(cogi, r"answer_too_short: the answer is shorter than its Content-Length in request \S+-\S+-\S+ /misbehave.cgi\?mode=shorter")

    def test_redirects(self):
        cogi = self.start_cogi()
        local = http.ask(cogi.http, "/misbehave.cgi?mode=local", "POST", body=b"not for the other")
        self.assertEqual((local.status, local.body), (200, b""))
        client = http.ask(cogi.http, "/misbehave.cgi?mode=redirect")
        self.assertEqual((client.status, client.headers["location"]), (302, "http://elsewhere.example/"))


class Modules(case.E2eTest):
    """Files that are no modules, or no programs at all."""

    def test_what_cannot_run_is_never_shown(self):
        site = os.path.join(self.folder, "site")
        os.mkdir(site)
        for name, content, mode in (("text.cgi", b"secret source", 0o755), ("plain.cgi", b"#!/bin/sh\necho secret", 0o644),
                                    (".hidden", b"secret", 0o644)):
            with open(os.path.join(site, name), "wb") as file:
                file.write(content)
            os.chmod(file.name, mode)
        with open(case.program("wait"), "rb") as source, open(os.path.join(site, "cut.cgi"), "wb") as target:
            target.write(source.read()[:3000])
        os.chmod(os.path.join(site, "cut.cgi"), 0o755)
        os.mkdir(os.path.join(site, "folder.cgi"))
        cogi = self.start_cogi(site=site)
        self.expect_log(r"\.cgi")
        for path in ("/text.cgi", "/plain.cgi", "/.hidden", "/cut.cgi", "/folder.cgi", "/folder.cgi/", "/nowhere.cgi"):
            with self.subTest(path):
                answer = http.ask(cogi.http, path)
                self.assertIn(answer.status, (403, 404, 500, 501, 502))
                self.assertNotIn(b"secret", answer.body)

    def test_a_directory_with_a_programs_name_is_403_and_logged(self):
        """What lies in it is served like any other file."""
        site = os.path.join(self.folder, "site")
        os.makedirs(os.path.join(site, "folder.cgi"))
        with open(os.path.join(site, "folder.cgi", "page.html"), "w", encoding="ascii") as file:
            file.write("a page")
        for target in ("/folder.cgi", "/folder.cgi/"):
            cogi = self.start_cogi({"routes": [{"path": "/", "site": site}]})
            self.assertEqual(http.ask(cogi.http, target).status, 403)
            self.assert_logged(cogi, rf"request \S+-\S+-\S+ {target}: 403: this path leads to no file that may be run")
            self.assertEqual(http.ask(cogi.http, "/folder.cgi/page.html").body, b"a page")

    def test_modules_that_do_not_load_are_500_and_say_why(self):
        site = os.path.join(self.folder, "site")
        os.mkdir(site)
        with open(case.program("wait"), "rb") as source:
            module = source.read()
        for name, before, after in (("nolibrary", b"libc.so.6\0", b"libX.so.6\0"), ("nomain", b"cogi_program_main\0", b"cogi_program_niam\0"),
                                    ("whole", b"", b"")):
            with open(os.path.join(site, name + ".cgi"), "wb") as target:
                target.write(module.replace(before, after) if before else module)
            os.chmod(target.name, 0o755)
        cogi = self.start_cogi({"routes": [{"path": "/", "site": site}]})
        workers = cogi.workers()
        for name, reason in (("nolibrary", r"libX\.so\.6"), ("nomain", r"it has no main\(\)")):
            with self.subTest(name):
                for _ in range(2):
                    self.assertEqual(http.ask(cogi.http, f"/{name}.cgi").status, 500)
                self.assert_logged(cogi, rf"request \S+ /{name}\.cgi: cannot load .*{name}\.cgi: .*{reason}")
                self.assertEqual(http.ask(cogi.http, "/whole.cgi").status, 200)
        self.assertEqual(cogi.workers(), workers)


if __name__ == "__main__":
    unittest.main()
