"""libco's headers parse in every C++ from 11 to 23, alone, and all together in either order, without a warning."""

import glob
import os
import shutil
import subprocess
import unittest

import tree

FOLDER = os.path.join(tree.ROOT, "coroutine", "libco")
PRIVATE = {"environment.h"}
STANDARDS = ("11", "14", "17", "20", "23")
COMPILERS = [c for c in ("g++", "clang++", "clang++-14") if shutil.which(c)]


class LibcoHeaders(unittest.TestCase):
    def parse(self, compiler, standard, headers):
        text = "".join(f'#include "{header}"\n' for header in headers) + "int main() {}\n"
        result = subprocess.run([compiler, f"-std=c++{standard.replace('23', '2b')}", "-fsyntax-only", "-Wall", "-Wextra",
                                 "-Wpedantic", "-Werror", "-I", FOLDER, "-x", "c++", "-"],
                                input=text, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, f"{compiler} C++{standard} {headers}\n{result.stderr}")

    def test_headers_parse(self):
        headers = sorted(set(map(os.path.basename, glob.glob(os.path.join(FOLDER, "*.h")))) - PRIVATE)
        self.assertIn("co_routine.h", headers)
        for compiler in COMPILERS:
            for standard in STANDARDS:
                for chosen in ([h] for h in headers):
                    self.parse(compiler, standard, chosen)
                self.parse(compiler, standard, headers)
                self.parse(compiler, standard, headers[::-1])


if __name__ == "__main__":
    unittest.main()
