"""What programs print, to the client and to the log: flushed output arrives at once, through nginx too; stderr line by line with the
request's id, and bounded. And requests that try to reach what is no program."""

import os
import re
import subprocess
import time
import unittest

from harness import case, fastcgi, http, paths, servers
from test_exec import write_script

EVENTS = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  const char *query = getenv("QUERY_STRING");
  printf("Content-Type: %s\\n\\n", strstr(query, "events") ? "text/event-stream" : "text/plain");
  for (int i = 0; i < 3; i++) {
    printf("data: %d\\n\\n", i);
    fflush(stdout);
    usleep(400000);
  }
  return 0;
}
"""

COMPLAINS = """#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  long lines = strtol(getenv("QUERY_STRING"), NULL, 10);
  fprintf(stderr, "the first half");
  fflush(stderr);
  usleep(1000);
  fprintf(stderr, " and the second\\nforged\\033[31m\\r line\\n");
  for (long i = 0; i < lines; i++) fprintf(stderr, "complaint %ld\\n", i);
  printf("Content-Type: text/plain\\n\\nok\\n");
  return 0;
}
"""


class Output(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.site = os.path.join(self.folder, "site")
        self.bin = os.path.join(self.site, "cgi-bin")
        os.makedirs(self.bin)
        for name, source in (("events", EVENTS), ("complains", COMPLAINS)):
            path = os.path.join(self.folder, name + ".c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            subprocess.run([paths.COGI, "cc", path, "-o", os.path.join(self.site, name + ".cgi")], check=True, timeout=60)
        write_script(self.bin, "events", "printf 'Content-Type: text/event-stream\\n\\n'; "
                     "for i in 0 1 2; do printf 'data: %d\\n\\n' $i; sleep 0.4; done")
        self.cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site}]})

    def arrives_in_pieces(self, address, target):
        """Each event comes on its own: the last one is not there when the first is."""
        with http.Client(address) as client:
            client.send(http.request(target))
            self.assertEqual(client.read_head()[0], 200)
            started = time.monotonic()
            client._until(b"data: 0\n\n")
            self.assertNotIn(b"data: 2", client.buffer)
            client._until(b"data: 2\n\n")
            # From the first to the last the program sleeps for 0.8 s.
            self.assertGreater(time.monotonic() - started, 0.4)

    def test_flushed_output_arrives_at_once(self):
        for target in ("/events.cgi?plain", "/events.cgi?events", "/cgi-bin/events"):
            with self.subTest(target):
                self.arrives_in_pieces(self.cogi.http, target)

    def pass_nginx(self, locations):
        """nginx is left as it comes, with its buffering on: X-Accel-Buffering turns it off for event streams."""
        nginx = self.start_nginx(self.cogi, locations)
        for target in ("/events.cgi?events", "/cgi-bin/events"):
            with self.subTest(target):
                self.arrives_in_pieces(nginx.http, target)

    def test_event_streams_pass_nginx_over_fastcgi_at_once(self):
        self.pass_nginx(servers.FASTCGI_PASS)

    def test_event_streams_pass_nginx_over_http_at_once(self):
        self.pass_nginx(servers.PROXY_PASS)

    def test_stderr_is_logged_line_by_line_with_the_request_id(self):
        self.expect_log("complains")
        self.assertEqual(http.ask(self.cogi.http, "/complains.cgi?1").body, b"ok\n")
        log = self.cogi.errors()
        lines = [line for line in log if "/complains.cgi" in line]
        self.assertEqual(len(lines), 3, log)
        self.assertRegex(lines[0], r"warning .*request \w+-\w+-\w+ /complains\.cgi\?1: the first half and the second$")
        self.assertNotIn("\033", "".join(log))  # no line can forge another, or paint the terminal
        self.assertRegex(lines[1], r": forged.*31m.* line$")
        self.assertRegex(lines[2], r": complaint 0$")
        ids = {re.search(r"request (\S+) ", line).group(1) for line in lines}
        self.assertEqual(len(ids), 1)

    def test_a_program_that_complains_without_end_does_not_fill_the_log(self):
        self.expect_log("complains")
        self.assertEqual(http.ask(self.cogi.http, "/complains.cgi?100000", timeout=60).body, b"ok\n")
        self.assertLess(len([line for line in self.cogi.errors() if "complain" in line]), 50)


class Reach(case.E2eTest):
    """Paths and headers that try to get more out of a program than it gives."""

    def setUp(self):
        super().setUp()
        self.expect_log(r".")
        self.site = os.path.join(self.folder, "site")
        self.bin = os.path.join(self.site, "cgi-bin")
        outside = os.path.join(self.folder, "outside")
        for folder in (self.bin, outside):
            os.makedirs(folder)
        for folder in (self.bin, outside):
            write_script(folder, "secret", "printf 'Content-Type: text/plain\\n\\nsecret\\n'")
        write_script(self.bin, "environment", "printf 'Content-Type: text/plain\\n\\n'; env | sort")
        os.symlink(os.path.join(outside, "secret"), os.path.join(self.bin, "link"))
        os.symlink(outside, os.path.join(self.bin, "folder-link"))
        os.chmod(os.path.join(self.bin, "secret"), 0o644)
        os.mkdir(os.path.join(self.bin, "folder.cgi"))
        self.cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site}]})
        self.workers = self.cogi.workers()

    def tearDown(self):
        self.assertEqual(self.cogi.workers(), self.workers)
        self.assertEqual(http.ask(self.cogi.http, "/cgi-bin/environment").status, 200)

    def test_no_path_leads_out_of_the_root_or_to_what_is_not_executable(self):
        """Over FastCGI the web server has decoded the path already: what is left of an escape is the name of no file."""
        leads_nowhere = "403: this path leads to no file that may be run as a program"
        for path, status, by_fastcgi, reason in (
                ("link", 403, 403, leads_nowhere),
                ("folder-link/secret", 403, 403, leads_nowhere),
                ("folder.cgi", 403, 403, leads_nowhere),
                ("folder.cgi/", 403, 403, leads_nowhere),
                ("secret", 403, 403, "403: .*/secret has no x bit"),
                ("environment/../secret", 403, 403, "403: .*/secret has no x bit"),
                ("./secret", 403, 403, "403: .*/secret has no x bit"),
                ("../../outside/secret", 400, 400, r"the path leads above the root \(400\)"),
                ("%2e%2e/%2e%2e/outside/secret", 400, 404, r"the path leads above the root \(400\)"),
                ("..%2f..%2foutside%2fsecret", 400, 404, r"the path has an encoded slash \(400\)"),
                ("environment%2f..%2fsecret", 400, 404, r"the path has an encoded slash \(400\)"),
                ("environment%00", 400, 404, r"a character that no path may have \(400\)"),
                ("nowhere", 404, 404, "404: there is no such program")):
            with self.subTest(path):
                # A log of its own for each: lines of one kind are limited in number.
                cogi = self.start_cogi({"routes": [{"path": "/", "site": self.site}]})
                answer = http.ask(cogi.http, "/cgi-bin/" + path)
                self.assert_logged(cogi, reason)
                line = next(line for line in cogi.errors() if re.search(reason, line))
                self.assertRegex(line, r"request \w+-\w+-\w+")
                with fastcgi.Client(cogi.fastcgi) as client:
                    second = client.ask("/cgi-bin/" + path)
                self.assertEqual((answer.status, second.status), (status, by_fastcgi))
                self.assertNotIn(b"secret\n", answer.body + second.body)

    def test_no_header_becomes_http_proxy_or_another_variable(self):
        """httpoxy, and headers that would be one variable: those with an underscore are not passed on."""
        answer = http.ask(self.cogi.http, "/cgi-bin/environment", headers={
            "Proxy": "http://evil.example/", "X-Real-Name": "a", "X_Real_Name": "b", "Path": "/evil"})
        self.assertEqual(answer.status, 200)
        lines = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
        self.assertNotIn("HTTP_PROXY", lines)
        self.assertEqual(lines["HTTP_X_REAL_NAME"], "a")
        self.assertNotIn("evil", lines["PATH"])


if __name__ == "__main__":
    unittest.main()
