"""Reloads, binary upgrades and kill -9 of workers under a load of GETs and POSTs, directly and through nginx, which does not try
again: the first two lose nothing, the third what the killed worker was answering, shown request by request."""

import os
import signal
import time
import unittest

from harness import case, http, load, paths, processes

RELOADS = int(os.environ.get("COGI_E2E_RELOADS", "20"))


def request(client, chance):
    """A GET that waits, or a POST whose body must come back."""
    headers = {"X-Client": str(client)}
    if chance.random() < 0.4:
        return "GET", http.request("/wait.cgi?ms=2", headers=headers), lambda answer: answer.status == 200
    body = chance.randbytes(chance.randrange(2000))
    return ("POST", http.request("/echo.cgi", "POST", headers, body),
            lambda answer: answer.status == 200 and answer.body == body)


class Change(case.E2eTest):
    def start(self, through_nginx):
        port = paths.free_port()
        cogi = self.start_cogi({"workers": 2}, also_listen=[f"fastcgi:127.0.0.1:{port}"])
        if not through_nginx:
            return cogi, cogi.http
        return cogi, self.start_nginx(cogi, load.NGINX_LOCATIONS, http=load.nginx_upstreams(port)).http

    def change_while_asked(self, cogi, address, times, change, replaced):
        """Calls change() `times` times while 20 clients ask, each time until replaced(the workers before); returns the load."""
        with load.Load(address, request) as clients:
            for number in range(times):
                before = set(cogi.workers())
                change()
                done = processes.wait_until(lambda before=before: replaced(before), 30)
                self.assertTrue(done, f"change {number}: {before}, {cogi.workers()}\n" + "\n".join(cogi.errors()))
        return clients


class Replaced(Change):
    def lose_nothing(self, times, number_of_signal, is_over):
        for through_nginx in (False, True):
            with self.subTest(through_nginx=through_nginx):
                cogi, address = self.start(through_nginx)
                clients = self.change_while_asked(
                    cogi, address, times, lambda: cogi.process.send_signal(number_of_signal),
                    lambda before: is_over(before, now := set(cogi.workers())) and len(now - before) >= cogi.worker_count)
                print(f"\n{times} x {signal.Signals(number_of_signal).name}, {'through nginx' if through_nginx else 'directly'}: "
                      f"{len(clients.lost)} of {clients.answered} requests lost")
                self.assertEqual(clients.lost[:3], [], f"{len(clients.lost)} of {clients.answered} requests lost")
                self.assertGreater(clients.answered, 20 * times)

    def test_reloads_lose_no_request(self):
        self.lose_nothing(RELOADS, signal.SIGHUP, lambda before, now: True)  # while workers of the one before are still leaving

    def test_upgrades_lose_no_request(self):
        """An upgrade is refused while another goes on, which is until the old workers leave."""
        self.lose_nothing(max(RELOADS // 20, 2), signal.SIGRTMIN, lambda before, now: before.isdisjoint(now))


class Killed(Change):
    def test_a_kill_loses_what_that_worker_was_answering_and_nothing_else(self):
        self.expect_log(r"signal 9|prematurely closed|reset by peer|Broken pipe|upstream")
        times = max(RELOADS // 5, 4)
        for through_nginx in (False, True):
            with self.subTest(through_nginx=through_nginx):
                cogi, address = self.start(through_nginx)
                deaths = []

                def kill(cogi=cogi, deaths=deaths):
                    time.sleep(0.6)  # one that dies within its first second is taken for a crash loop
                    deaths.append(load.kill(min(cogi.workers(), key=processes.started)))

                def is_replaced(before, cogi=cogi):
                    now = set(cogi.workers())
                    return len(now) == cogi.worker_count and now != before

                clients = self.change_while_asked(cogi, address, times, kill, is_replaced)
                connected = sum(len(death.clients) for death in deaths)
                unexplained = load.unexplained(clients.lost, deaths)
                print(f"\n{times} x kill -9, {'through nginx' if through_nginx else 'directly'}: {len(clients.lost)} of "
                      f"{clients.answered} requests lost, {len(clients.lost) - len(unexplained)} of them in flight on the worker that was "
                      f"killed, which held {connected} of {20 * times} clients")
                self.assertEqual(unexplained[:3], [], f"{len(unexplained)} of {len(clients.lost)}: {deaths}")
                self.assertLessEqual(len(clients.lost), connected)
                self.assertGreater(len(clients.lost), 0, "nobody was killed under load")
                self.assertGreater(clients.answered, 100 * times)


if __name__ == "__main__":
    unittest.main()
