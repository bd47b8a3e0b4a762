"""Each web server with a FastCGI client, in front of cogi: 200 clients at a time, and every answer belongs to its request."""

import base64
import os
import unittest

from harness import case, fronts, http, paths, processes

REQUESTS = int(os.environ.get("COGI_E2E_REQUESTS", "10000"))
AT_ONCE = 200


class SharingHaProxy(fronts.HaProxy):
    """HAProxy that puts many clients' requests on few connections."""

    CONFIG = fronts.HaProxy.CONFIG.replace("backend cogi\n", "backend cogi\n  http-reuse always\n").replace(
        "  option mpxs-conns\n", "  option mpxs-conns\n  option max-reqs 50\n")


class FrontEnds(case.E2eTest):
    def start(self, front, config=None, **how):
        self.cogi = self.start_cogi(config, **how)
        folder = os.path.join(self.folder, "front")
        os.mkdir(folder)
        if how.get("also_listen"):
            self.cogi.fastcgi_port = int(how["also_listen"][0].rpartition(":")[2])
        self.front = front(folder, self.cogi)
        self.addCleanup(self.front.kill)

    def ask_all(self, jobs):
        """Sends (request, status, body) and checks all that comes back."""
        wrong, sockets, seen = [], [], [0]
        worker = self.cogi.workers()[0]

        def visit(expected, answer):
            seen[0] += 1
            if isinstance(answer, Exception) or (answer.status, answer.body) != (expected[0], expected[1] or answer.body):
                wrong.append((expected[0], expected[1] and expected[1][:30], answer))
            if seen[0] % 500 == 250:
                sockets.append(len(processes.sockets(worker)))
        http.ask_all(self.front.http, ((sent, (status, body)) for sent, status, body in jobs), AT_ONCE, visit)
        print(f"\n{type(self.front).__name__}: {len(wrong)} of {seen[0]} answers wrong; {max(sockets, default=0)} sockets of the worker")
        self.assertEqual(wrong[:2], [], f"{len(wrong)} of {seen[0]} answers are wrong")
        return max(sockets, default=0)

    @staticmethod
    def bodies():
        for n in range(REQUESTS):
            body = b"number %d " % n * (n % 40)
            yield http.request("/echo.cgi", "POST", body=body), 200, body

    def test_apache(self):
        self.start(fronts.Apache)
        self.ask_all(self.bodies())

    def test_lighttpd(self):
        self.start(fronts.Lighttpd)
        self.ask_all(self.bodies())

    def test_caddy(self):
        self.start(fronts.Caddy)
        self.ask_all(self.bodies())

    def test_nginx(self):
        self.start(fronts.NginxFastCgi)
        self.ask_all(self.bodies())

    def test_haproxy_shares_connections(self):
        """HAProxy asks how many requests a connection may have (get-values; max-reqs until it is told). They must fit into its
        tune.bufsize all together: where less room is left than one request's parameters need, it gives that request up and answers
        500 itself (2.6)."""
        self.start(SharingHaProxy, {"limits": {"fastcgi_requests": 50}})
        self.assertLess(self.ask_all(self.bodies()), 50, "200 clients share connections")

    def test_apache_asks_an_authorizer(self):
        def jobs():
            for n in range(REQUESTS):
                right = n % 10 != 0
                word = f"name-{n}:word-of-name-{n if right else n + 1}".encode()
                headers = {"Authorization": "Basic " + base64.b64encode(word).decode()}
                yield ((http.request("/gate.cgi", "POST", headers, b"body %d" % n), 200, b"name-%d: body %d" % (n, n)) if right
                       else (http.request("/gate.cgi", headers=headers), 401, None))
        self.start(fronts.GuardedApache, also_listen=[f"fastcgi:127.0.0.1:{paths.free_port()}"])
        self.ask_all(jobs())

    def test_lighttpd_asks_an_authorizer(self):
        def jobs():
            for n in range(REQUESTS):
                right = n % 10 != 0
                headers = {"X-Name": f"name-{n}", "X-Word": f"word-of-name-{n if right else n + 1}"}
                # lighttpd closes the connection behind a body that nobody was let to read.
                yield ((http.request("/gate.cgi", "POST", headers, b"body %d" % n), 200, b"name-%d: body %d" % (n, n)) if right
                       else (http.request("/gate.cgi", headers=headers), 403, b"name-%d may not\n" % n))
        self.start(fronts.GuardedLighttpd)
        self.ask_all(jobs())


if __name__ == "__main__":
    unittest.main()
