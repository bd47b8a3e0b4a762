"""What a newcomer sees: `cogi serve` of the document root, its page, every link on it, and each sample."""

import html.parser
import os
import re
import shutil
import subprocess
import unittest
import urllib.parse

from harness import case, http, paths, servers


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.update(value for name, value in attributes if name in ("href", "src") and value.startswith("/"))


class Samples(case.E2eTest):
    def setUp(self):
        super().setUp()
        self.site = os.path.join(self.folder, "site")  # a copy: the guestbook lies beside the document root
        shutil.copytree(paths.SITE, self.site)
        self.cogi = self.start_cogi(site=self.site)

    def ask(self, target, method="GET", **how):
        return http.ask(self.cogi.http, target, method, **how)

    def test_the_welcome_page_and_every_link_on_it(self):
        page = self.ask("/")
        self.assertEqual(page.status, 200)
        self.assertIn("text/html", page.headers["content-type"])
        links = Links(page.body.decode()).found
        self.assertGreaterEqual(len(links), 12)
        for link in sorted(links):
            with self.subTest(link=link):
                self.assertEqual(self.ask(link).status, 200)

    def test_static_files_have_their_types(self):
        for path, kind in {"/style.css": "text/css", "/favicon.svg": "image/svg+xml", "/samples/hello.c": "text/"}.items():
            with self.subTest(path=path):
                self.assertTrue(self.ask(path).headers["content-type"].startswith(kind))

    def test_hello(self):
        self.assertEqual(self.ask("/samples/hello.cgi").body, b"Hello, 127.0.0.1!\n")

    def test_form(self):
        self.assertIn(b"<form", self.ask("/samples/form.cgi").body)
        answer = self.ask("/samples/form.cgi", "POST", headers={"Content-Type": "application/x-www-form-urlencoded"},
                          body=b"name=%3Cb%3E+%26&about=two+words")
        self.assertIn(b"&lt;b&gt; &amp;", answer.body)
        self.assertIn(b"two words", answer.body)
        self.assertNotIn(b"<b>", answer.body)
        self.assertEqual(self.ask("/samples/form.cgi", "POST", body=b"x" * 70000).status, 413)

    def test_echo(self):
        body = bytes(range(256)) * 100
        self.assertEqual(self.ask("/samples/echo.cgi", "POST", body=body).body, body)

    def test_environment(self):
        body = self.ask("/samples/environment.cgi?shown=here").body.decode()
        self.assertIn("QUERY_STRING=shown=here\n", body)
        self.assertIn(f"DOCUMENT_ROOT={self.site}\n", body)

    def test_slow_sends_each_line_when_it_is_printed(self):
        with http.Client(self.cogi.http) as client:
            client.send(http.request("/samples/slow.cgi?ms=400"))
            status, headers = client.read_head()
            self.assertEqual((status, headers["transfer-encoding"]), (200, "chunked"))
            first = client._until(b"1 of 5\n")
            self.assertNotIn(b"5 of 5", first + client.buffer)
            self.assertIn(b"5 of 5\n", client._until(b"0\r\n\r\n"))

    def test_counter_goes_on_from_request_to_request(self):
        self.assertTrue(self.ask("/samples/counter.cgi").body.startswith(b"Request 1 of this instance"))
        self.assertTrue(self.ask("/samples/counter.cgi").body.startswith(b"Request 2 of this instance"))

    def test_stream_sends_each_event(self):
        answer = self.ask("/samples/stream.cgi")
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        self.assertEqual([line.split()[1] for line in answer.body.decode().splitlines() if line], list("12345"))

    def test_words(self):
        self.assertIn(b"     4  the\n", self.ask("/samples/words.cgi").body)
        answer = self.ask("/samples/words.cgi", "POST", body="Äpfel und Birnen und Äpfel".encode()).body.decode()
        self.assertTrue(answer.endswith("     3  different words\n"), answer)

    def test_guestbook_keeps_entries_and_shows_them_as_text(self):
        page = "/samples/guestbook.cgi"
        entry = urllib.parse.urlencode({"name": "O'Brien\"); DROP TABLE entries;--", "message": "<script>alert(1)</script>"})
        answer = self.ask(page, "POST", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=entry.encode())
        self.assertEqual((answer.status, answer.headers["location"]), (303, page))
        body = self.ask(page).body.decode()
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", body)
        self.assertIn("O&#39;Brien&quot;); DROP TABLE entries;--", body)
        self.assertNotIn("<script", body)
        self.assertEqual(self.ask(page, "POST", body=b"name=only").status, 400)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "guestbook.db")))

    def test_guestbook_signed_by_50_at_once_loses_nobody(self):
        answers = []
        jobs = ((http.request("/samples/guestbook.cgi", "POST", body=b"name=n%d&message=m" % number), number)
                for number in range(50))
        http.ask_all(self.cogi.http, jobs, 50, lambda _, answer: answers.append(answer))
        self.assertEqual([a for a in answers if isinstance(a, Exception) or a.status != 303], [])
        names = re.findall(r"<footer>(n\d+),", self.ask("/samples/guestbook.cgi").body.decode())
        self.assertEqual(sorted(names), sorted(f"n{number}" for number in range(50)))

    def test_the_same_behind_nginx(self):
        nginx = self.start_nginx(self.cogi, servers.FASTCGI_PASS)
        for path in ("/", "/style.css", "/samples/hello.cgi", "/samples/guestbook.cgi", "/samples/words.cgi"):
            with self.subTest(path=path):
                through, direct = http.ask(nginx.http, path), self.ask(path)
                self.assertEqual((through.status, through.body), (direct.status, direct.body))


class SamplesAsOrdinaryCgi(unittest.TestCase):
    """The same sources, compiled by the compiler alone and started by hand as RFC 3875 says."""

    def test_the_echo_sample_is_an_ordinary_program(self):
        result = subprocess.run([case.plain("echo")], input=b"abc", capture_output=True, timeout=10,
                                env={"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "3", "CONTENT_TYPE": "text/x"})
        self.assertEqual(result.stdout, b"Content-Type: text/x\r\n\r\nabc")

    def test_the_guestbook_sample_is_an_ordinary_program(self):
        result = subprocess.run([case.plain("guestbook")], capture_output=True, timeout=10,
                                env={"REQUEST_METHOD": "GET", "GUESTBOOK_DB": ":memory:"})
        self.assertIn(b"<h1>Guestbook</h1>", result.stdout)

    def test_the_words_sample_is_an_ordinary_program(self):
        result = subprocess.run([case.plain("words")], input=b"b a b", capture_output=True, timeout=10,
                                env={"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5"})
        self.assertTrue(result.stdout.endswith(b"\r\n\r\n     2  b\n     1  a\n     2  different words\n"), result.stdout)


if __name__ == "__main__":
    unittest.main()
