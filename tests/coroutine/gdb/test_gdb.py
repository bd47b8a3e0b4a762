"""coroutine/gdb/cogi.py, by gdb itself: on a live process, and on a core file of it, what it shows of each coroutine is
what the coroutine says of itself."""

import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCRIPT = os.path.join(ROOT, "coroutine", "gdb", "cogi.py")
PROGRAM = os.environ["COGI_PARKED_PROGRAM"]


def gdb(*arguments, commands=()):
    command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off", *arguments,
               "-ex", f"source {SCRIPT}"]
    for each in commands:
        command += ["-ex", each]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Gdb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # gcore reads a mapping until the first page that it cannot: with MADV_GUARD_INSTALL, a stack's lowest.
        cls.process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True,
                                       env=dict(os.environ, COGI_NO_GUARD_INSTALL="1"))
        cls.addClassCleanup(cls.process.wait)
        cls.addClassCleanup(cls.process.stdout.close)
        cls.addClassCleanup(cls.process.kill)
        cls.said = {}
        for line in cls.process.stdout:
            if line == "ready\n":
                break
            number, name, addresses = re.match(r"(\d+) (.*?)((?: 0x[0-9a-f]+)+)$", line).groups()
            cls.said[name] = (number, [int(a, 16) for a in addresses.split()])
        cls.folder = tempfile.TemporaryDirectory(prefix="cogi-gdb-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.core = os.path.join(cls.folder.name, "core")
        made = gdb("-p", str(cls.process.pid), commands=[f"gcore {cls.core}"])
        if not os.path.exists(cls.core):
            raise AssertionError(f"no core file\n{made.stdout}\n{made.stderr}")

    def targets(self):
        yield "live", ["-p", str(self.process.pid)]
        yield "core", [PROGRAM, self.core]

    def test_all_coroutines_are_listed(self):
        self.assertEqual(sorted(self.said), ["first", "own stack", "second", "third"])
        for kind, target in self.targets():
            with self.subTest(kind):
                out = gdb(*target, commands=["cogi coroutines"])
                for name, waits, where in (("first", "a time", r"shared stack \(\d+ bytes saved\)"),
                                           ("second", r"descriptor \d+", r"shared stack \(\d+ bytes saved\)"),
                                           ("third", "a time", r"shared stack"),
                                           ("own stack", "a time", "private stack")):
                    self.assertRegex(out.stdout, rf'(?m)^#{self.said[name][0]} "{name}" parked for {waits}, \d+ ms, {where}',
                                     out.stderr)
                self.assertRegex(out.stdout, r'(?m)^#\d+ "not yet run" ready, shared stack$')
                self.assertIn("5 coroutines", out.stdout)

    def test_backtraces_are_those_that_the_coroutines_take_themselves(self):
        for kind, target in self.targets():
            for name, (number, addresses) in self.said.items():
                with self.subTest(f"{kind}: {name}"):
                    out = gdb(*target, commands=[f"cogi backtrace {number}"])
                    shown = [int(a, 16) for a in re.findall(r"(?m)^    \d+ +(0x[0-9a-f]+) in ", out.stdout)]
                    self.assertGreater(len(addresses), 4)
                    self.assertEqual([f"{a:#x}" for a in shown], [f"{a:#x}" for a in addresses], out.stdout + out.stderr)
                    self.assertIn("WaitsForDescriptor()" if name == "second" else "WaitsForTime()", out.stdout)
                    size = {"first": 300, "second": 900, "third": 5000, "own stack": 700}[name]
                    self.assertIn(f"Middle<{size}>", out.stdout)
                    self.assertNotIn("...", out.stdout)

    def test_all_at_once_and_what_cannot_be_shown(self):
        out = gdb(PROGRAM, self.core, commands=["cogi backtrace all"])
        self.assertEqual(out.stdout.count("WaitsForTime()"), 3)
        self.assertIn("it has not run yet", out.stdout)
        out = gdb(PROGRAM, self.core, commands=["cogi backtrace 999999"])
        self.assertIn("there is no coroutine #999999", out.stderr)

    def test_a_program_without_cogi_is_told_so(self):
        out = gdb("/bin/true", commands=["cogi coroutines"])
        self.assertIn("does this program run on libcogi.so", out.stderr)


if __name__ == "__main__":
    unittest.main()
