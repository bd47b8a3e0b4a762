"""The programs of examples/, as the README shows them."""

import os
import re
import subprocess
import unittest

from harness import case, http, paths

EXAMPLES = os.path.join(paths.BUILD, "examples")


class Examples(case.E2eTest):
    def test_visit_is_a_fresh_process_for_each_request_and_200_run_at_once(self):
        cogi = self.start_cogi(site=os.path.join(EXAMPLES, "visit", "site"))
        answers = []
        http.ask_all(cogi.http, ((http.request("/visit.cgi?you"), number) for number in range(200)), 200,
                     lambda _, answer: answers.append(answer))
        self.assertEqual({answer.body for answer in answers},
                         {b"Hello, you!\nYou are visitor number 1 of process %d.\n" % cogi.workers()[0]})

    def test_the_native_handlers_share_what_they_keep(self):
        module = os.path.join(EXAMPLES, "native_handler", "greeter.so")
        cogi = self.start_cogi({"routes": [
            {"exact": "/hello", "native": {"module": module, "handler": "hello"}},
            {"path": "/count/", "native": {"module": module, "handler": "counter"}}]})
        hello = http.ask(cogi.http, "/hello")
        self.assertEqual((hello.status, hello.body, hello.headers["content-length"]), (200, b"hello\n", "6"))
        answers = []
        http.ask_all(cogi.http, ((http.request("/count/x"), number) for number in range(50)), 50,
                     lambda _, answer: answers.append(answer.body.decode()))
        found = [re.fullmatch(r"visit (\d+) to /count/x, (\d+) at once\n", answer).groups() for answer in answers]
        self.assertEqual(sorted(int(visit) for visit, _ in found), list(range(1, 51)))
        self.assertGreater(max(int(running) for _, running in found), 1)

    def test_the_configuration_of_the_native_handlers_is_valid(self):
        result = subprocess.run([paths.COGI, "check", os.path.join(EXAMPLES, "native_handler", "cogi.json")],
                                capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("/hello", result.stdout)


if __name__ == "__main__":
    unittest.main()
