"""cmake --install gives what others build on: by find_package(cogi) and by pkg-config, without cogi's source tree."""

import glob
import os
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["COGI_BUILD"]
CONSUMER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "consumer")


def run(*command, **how):
    result = subprocess.run(command, capture_output=True, text=True, **how)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="cogi-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = os.path.join(cls.folder, "prefix")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)

    def find(self, name):
        found = glob.glob(os.path.join(self.prefix, "**", name), recursive=True)
        self.assertEqual(len(found), 1, name)
        return found[0]

    def test_the_installed_server_runs(self):
        self.assertIn("cogi", run(os.path.join(self.prefix, "bin", "cogi"), "--version"))

    def test_find_package(self):
        build = os.path.join(self.folder, "cmake")
        run("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", build)
        self.assertEqual(run(os.path.join(build, "consumer")), "first\nsecond\n")
        run(os.path.join(build, "handler"))
        self.assertTrue(os.path.exists(os.path.join(build, "page.cgi")))

    def test_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "cogi",
                    env=dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(self.find("cogi.pc")))).split()
        program = os.path.join(self.folder, "by-pkg-config")
        run("g++", "-std=c++20", os.path.join(CONSUMER, "main.cpp"), "-o", program, *flags)
        library = os.path.dirname(self.find("libcogi.so.0"))
        self.assertEqual(run(program, env=dict(os.environ, LD_LIBRARY_PATH=library)), "first\nsecond\n")

    def test_nothing_installed_knows_the_build_folder(self):
        for path in glob.glob(os.path.join(self.prefix, "**"), recursive=True):
            if path.endswith((".cmake", ".pc", ".h")):
                with open(path, encoding="utf-8") as file:
                    self.assertNotIn(BUILD, file.read(), path)


if __name__ == "__main__":
    unittest.main()
