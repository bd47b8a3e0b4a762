"""What programs do to the process that they think is theirs: every answer as the same binary gives when started by hand, and nothing
left behind."""

import os
import random
import unittest

from harness import case, http, processes
from harness.comparison import as_a_process, ask_and_compare

REQUESTS = int(os.environ.get("COGI_E2E_REQUESTS", "10000"))
AT_ONCE = 500
# Modes of programs/habits.c, and how often each is asked.
MODES = {"chdir": 6, "locale": 6, "getopt": 6, "longjmp": 6, "dup2": 6, "freopen": 6, "turns": 6, "ring": 4, "signals": 6,
         "killed": 2, "late-alarm": 3, "lock": 3, "children": 1, "alarmed": 1}
# Modes of programs/streams.cpp.
STREAMS = ("turns", "format", "redirect", "unsynced", "wide", "unflushed")


class Habits(case.E2eTest):
    def job(self, chance, modes):
        wait = chance.choice([0, 0, 1, 2, 5, 10])
        if chance.random() < 0.25:
            n = chance.randrange(60)
            return (http.request(f"/leaks.cgi?n={n}&wait={wait}"), (f"leaks n={n}", as_a_process("leaks", f"n={n}&wait=0")))
        if modes is MODES and chance.random() < 0.25:
            mode, n = chance.choice(STREAMS), chance.randrange(10)
            return (http.request(f"/streams.cgi?mode={mode}&n={n}&wait={wait}"),
                    (f"streams {mode} n={n}", as_a_process("streams", f"mode={mode}&n={n}&wait=0")))
        mode = chance.choices(list(modes), modes.values())[0]
        n = chance.randrange(10)
        file = f"&file={self.folder}/"
        expected = as_a_process("habits", f"mode={mode}&n={n}&wait=0{file}plain-counter")
        if mode == "lock":
            self.locks += 1
            wait = min(wait, 2)  # they wait for each other
        return (http.request(f"/habits.cgi?mode={mode}&n={n}&wait={wait}{file}counter"), (f"habits {mode} n={n}", expected))

    def ask(self, modes, count, at_once):
        chance = random.Random(count)
        self.locks = 0
        cogi = self.cogi = self.start_cogi()
        self.expect_log(r"habits|leaks|streams")
        worker = cogi.workers()
        ask_and_compare(self, cogi.http, (self.job(chance, modes) for _ in range(count)), count, at_once)
        self.assertEqual(cogi.workers(), worker, "a worker was lost")
        return cogi

    def test_every_answer_is_that_of_a_fresh_process(self):
        self.ask(MODES, REQUESTS, AT_ONCE)
        self.assertEqual(processes.children(self.cogi.workers()[0]), [])
        with open(os.path.join(self.folder, "counter"), "rb") as file:
            counted = int(file.read().split(b"\0")[0])
        self.assertEqual(counted, self.locks, "the lock was granted to two requests at once")

    def test_children_run_and_their_output_arrives_in_order(self):
        cogi = self.ask({"children": 1}, 300, 30)
        self.assertEqual(processes.children(cogi.workers()[0]), [])

    def test_alarm_ends_the_request_that_set_it_and_no_other(self):
        self.ask({"alarmed": 1, "late-alarm": 5, "turns": 5}, 200, 100)

    def test_one_mode_at_a_time(self):
        """The same one by one, so that a failure names its mode."""
        cogi = self.start_cogi()
        self.expect_log(r"habits|streams")
        for mode in [*MODES, "children"]:
            with self.subTest(mode):
                query = f"mode={mode}&n=1&wait=1&file={self.folder}/one"
                status, body = as_a_process("habits", query)
                answer = http.ask(cogi.http, f"/habits.cgi?{query}")
                self.assertEqual(answer.status, status)
                if body is not None:
                    self.assertEqual(answer.body, body)
        for mode in STREAMS:
            with self.subTest(mode):
                query = f"mode={mode}&n=1&wait=1"
                answer = http.ask(cogi.http, f"/streams.cgi?{query}")
                self.assertEqual((answer.status, answer.body), as_a_process("streams", query))


if __name__ == "__main__":
    unittest.main()
