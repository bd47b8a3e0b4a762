"""What holds for every tracked file: its format, its length, its guard, and that it knows no machine but the reader's."""

import os
import re
import subprocess
import unittest

import tree

LONGEST = 600  # lines of a source file

# Paths of one machine's own, and hosts that packages come from: a mirror is the user's to choose.
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/\w|\b(?:deb|snapshot|security)\.debian\.org")


class Files(unittest.TestCase):
    def test_sources_are_formatted(self):
        files = [os.path.join(tree.ROOT, p) for p in tree.sources() if p.endswith((".h", ".cpp"))]
        result = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
        wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", result.stderr, re.MULTILINE)))
        self.assertEqual(wrong, [], "mend with: clang-format -i FILE")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_sources_are_short(self):
        long = {p: n for p in tree.sources() if (n := tree.read(p).count("\n")) > LONGEST}
        self.assertEqual(long, {})

    def test_headers_are_guarded_by_their_path(self):
        wrong = []
        for path in tree.sources():
            if not path.endswith(".h") or not path.startswith(("coroutine", "hooks", "cgi", "config", "server")):
                continue
            guard = "COGI_" + re.sub(r"\W", "_", path).upper() + "_"
            if not path.startswith("coroutine/libco/") and f"#ifndef {guard}\n#define {guard}\n" not in tree.read(path):
                wrong.append(f"{path}: {guard}")
        self.assertEqual(wrong, [])

    def test_no_machine_is_named(self):
        wrong = [f"{path}: {found.group()}" for path in tree.tracked() if path != "tests/house/test_files.py"
                 for found in MACHINE.finditer(tree.read(path))]
        self.assertEqual(wrong, [])

    def test_scripts_can_run(self):
        wrong = [path for path in tree.tracked()
                 if tree.read(path).startswith("#!") and not os.access(os.path.join(tree.ROOT, path), os.X_OK)]
        self.assertEqual(wrong, [])

    def test_the_licence_is_there(self):
        self.assertIn("Apache License", tree.read("LICENSE"))
        self.assertIn("Version 2.0", tree.read("LICENSE"))
        foreign = [p for p in tree.sources() if re.search(r"copyright|SPDX-License", tree.read(p), re.IGNORECASE)
                   and "Apache-2.0" not in tree.read(p)]
        self.assertEqual(foreign, [], "a file under terms of its own")


if __name__ == "__main__":
    unittest.main()
