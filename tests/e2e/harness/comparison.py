"""Asks programs in process, many at once, and compares each answer with that of the same source as an ordinary process."""

import functools
import subprocess

from . import case, http


@functools.lru_cache(maxsize=None)
def as_a_process(name, query, body=b""):
    """(status, body) that the program answers when a shell starts it, in a process group of its own. The body is None where
    the server makes it: nothing was printed and the process ended badly."""
    environment = {"QUERY_STRING": query, "REQUEST_METHOD": "POST" if body else "GET", "CONTENT_LENGTH": str(len(body)),
                   "PATH": "/usr/bin:/bin"}
    result = subprocess.run(["/bin/sh", "-c", 'exec "$0"', case.plain(name)], input=body, env=environment, capture_output=True, timeout=30,
                            start_new_session=True)
    if not result.stdout and result.returncode != 0:
        return 500, None
    head, _, rest = result.stdout.partition(b"\n\n")
    assert head.startswith(b"Content-Type:"), result
    return 200, rest


def ask_and_compare(test, address, jobs, count, at_once):
    """Sends the jobs; a job is (bytes of the request, (text that names it, (status, body) expected))."""
    wrong = []
    asked = 0

    def visit(key, answer):
        nonlocal asked
        asked += 1
        name, (status, body) = key
        if isinstance(answer, Exception) or answer.status != status or (body is not None and answer.body != body):
            wrong.append(f"{name}: expected {status} {body!r}, got {answer!r}")

    http.ask_all(address, jobs, at_once, visit)
    test.assertEqual(asked, count)
    test.assertEqual(wrong[:3], [], f"{len(wrong)} of {count} answers are wrong")
