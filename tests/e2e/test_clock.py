"""Somebody sets the clock: no deadline comes earlier or later, and what shows the time shows the new one."""

import email.utils
import glob
import os
import time
import unittest

from harness import case, http

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
HOUR = 3600


@unittest.skipUnless(LIBRARY, "needs libfaketime")
class Clock(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.offset = os.path.join(self.folder, "offset")
        self.set_clock("+0")
        environment = {**os.environ, "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": self.offset, "FAKETIME_NO_CACHE": "1",
                       "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        self.cogi = self.start_cogi({"timeouts": {"keep_alive": "3s", "handler": "20s", "header": "3s"},
                                     "routes": [{"path": "/", "site": case.paths.PROGRAMS}, {"path": "/hello", "native": "hello"}]},
                                    environment=environment)

    def set_clock(self, offset):
        with open(self.offset + ".new", "w", encoding="ascii") as file:
            file.write(offset)
        os.rename(self.offset + ".new", self.offset)

    def seconds_ahead(self, answer):
        return email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()

    def test_an_hour_forth_and_back(self):
        for offset, ahead in (("+1h", HOUR), ("-1h", -HOUR), ("+0", 0)):
            with self.subTest(offset), http.Client(self.cogi.http) as kept, http.Client(self.cogi.http) as busy, \
                    http.Client(self.cogi.http) as half:
                self.assertEqual(kept.ask("/hello").status, 200)
                busy.send(http.request("/wait.cgi?ms=1500"))
                half.send(b"GET /hello HTTP/1.1\r\n")
                time.sleep(0.3)
                self.set_clock(offset)
                # A deadline on this clock would have passed an hour ago, or would come in an hour.
                half.send(b"Host: a\r\n\r\n")
                self.assertEqual(half.read_response().status, 200)
                self.assertEqual(busy.read_response().status, 200)
                answer = kept.ask("/hello")
                self.assertEqual(answer.status, 200)
                self.assertAlmostEqual(self.seconds_ahead(answer), ahead, delta=30)
                begin = time.monotonic()
                self.assertEqual(kept.read_to_end(), b"")  # the keep-alive time
                self.assertLess(time.monotonic() - begin, 15)


if __name__ == "__main__":
    unittest.main()
