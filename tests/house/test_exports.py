"""What libcogi.so shows to the world. A symbol that is exported by mistake can be bound by any program that runs in cogi."""

import os
import re
import subprocess
import sys
import unittest

BUILD = os.environ["COGI_BUILD"]
LIBRARY = os.path.join(BUILD, "libcogi.so")

# cogi's own: the C++ API (what namespace cogi marks COGI_API), libco's API, libfcgi's entry points.
OWN = re.compile(r"_Z\w*4cogi|co_\w+|cogi_\w+|FCG[XI]_\w+|coctx_\w+|_Z\d+co(?:ctx)?_\w+|_Z\d+(?:GetCurrThreadCo|\w+Epoll)\w*|"
                 r"_ZN10clsCoMutex\w+")
# Functions of libstdc++ that are interposed like those of libc: operator new and delete, and what a program says of its streams
# and its locale.
INTERPOSED = re.compile(r"_Z(?:nw|na|dl|da)|_ZNSt8ios_base15sync_with_stdioEb|_ZNSt6locale6globalERKS_")


def defined(library):
    """Names and types of the dynamic symbols that `library` defines, versions cut off."""
    out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return {fields[-1].split("@")[0]: fields[-2] for fields in map(str.split, out.splitlines())}


def library_path(soname):
    """Where the dynamic linker finds `soname` for a program linked to libcogi.so."""
    out = subprocess.run(["ldd", LIBRARY], capture_output=True, text=True, check=True).stdout
    return re.search(rf"{re.escape(soname)} => (\S+)", out).group(1)


class Exports(unittest.TestCase):
    def test_only_api_and_interposed_functions(self):
        interposed = set(defined(library_path("libc.so.6"))) | set(defined(library_path("libstdc++.so.6")))
        stray = [name for name in defined(LIBRARY) if not OWN.match(name)
                 and (name not in interposed or name.startswith("_Z") and not INTERPOSED.match(name))]
        self.assertEqual(stray, [])

    def test_the_standard_library_is_not_exported_again(self):
        """Instances of std templates have default visibility whatever we say; the version script hides them."""
        std = [name for name in defined(LIBRARY) if re.match(r"_ZN?K?S[tabsiod]|_ZT[ISV]N?S[tabsiod]", name)
               and not INTERPOSED.match(name)]
        self.assertEqual(std, [])

    def test_the_interposed_calls_are_there(self):
        missing = {"read", "write", "recv", "send", "poll", "accept", "accept4", "connect", "nanosleep", "close"}
        self.assertEqual(missing - set(defined(LIBRARY)), set())

    @unittest.skipUnless(os.uname().machine == "x86_64", "of x86-64")
    def test_branch_tracking_is_claimed_and_shadow_stacks_are_not(self):
        """A switch of stacks would need a switch of shadow stacks. Without the mark the loader leaves them off."""
        switch = os.path.join(BUILD, "coroutine/CMakeFiles/cogi_coroutine.dir/context_x86_64.S.o")
        for path, claimed in ((switch, True), (LIBRARY, False)):
            notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
            self.assertNotIn("SHSTK", notes)
            if claimed:
                self.assertIn("x86 feature: IBT", notes)

    def test_the_stack_is_not_executable(self):
        out = subprocess.run(["readelf", "-lW", LIBRARY], capture_output=True, text=True, check=True).stdout
        self.assertRegex(out, r"GNU_STACK .* RW +0x")

    def test_dlopen(self):
        """A program that has started without it can load it, and the hooks find the functions of libc."""
        script = f"import ctypes, os; ctypes.CDLL({LIBRARY!r}); r, w = os.pipe(); os.write(w, b'x'); print(os.read(r, 9))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "b'x'\n"), done.stderr)

    def test_soname(self):
        out = subprocess.run(["readelf", "-d", LIBRARY], capture_output=True, text=True, check=True).stdout
        self.assertIn("Library soname: [libcogi.so.0]", out)

    def test_the_server_asks_for_libcogi_before_libc(self):
        out = subprocess.run(["readelf", "-d", os.path.join(BUILD, "cogi")], capture_output=True, text=True,
                             check=True).stdout
        needed = re.findall(r"Shared library: \[([^]]+)\]", out)
        self.assertIn("libcogi.so.0", needed)
        self.assertLess(needed.index("libcogi.so.0"), needed.index("libc.so.6"))


if __name__ == "__main__":
    unittest.main()
