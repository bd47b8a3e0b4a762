"""Who may include whom: coroutine/ <- hooks/ <- server/; cgi/ <- server/; config/ <- server/. Nothing else."""

import os
import re
import unittest

import tree

# Each folder, and the folders of ours that it may include from.
MAY_INCLUDE = {
    "coroutine": {"coroutine"},
    "hooks": {"hooks", "coroutine"},
    "cgi": {"cgi"},
    "config": {"config"},
    "server": {"server", "hooks", "coroutine", "cgi", "config"},
    "examples": {"cgi", "coroutine"},
}

# Libraries whose headers cost seconds to compile, or belong to one place: never in a header of ours.
HEAVY = ("nlohmann/", "boost/", "spdlog/", "fmt/", "CLI/", "ares.h", "openssl/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes():
    for path in tree.sources():
        for quote, name in INCLUDE.findall(tree.read(path)):
            yield path, quote, name


class Includes(unittest.TestCase):
    def test_only_folders_below_are_included(self):
        wrong = []
        for path, quote, name in includes():
            folder, target = path.split("/")[0], name.split("/")[0]
            if folder in MAY_INCLUDE and target in MAY_INCLUDE | {"tests": 0, "bench": 0}:
                if "/" in name and target not in MAY_INCLUDE[folder]:
                    wrong.append(f"{path}: {name}")
        self.assertEqual(wrong, [])

    def test_paths_start_at_the_root(self):
        """A name in quotes is a path from the root, so that a file is included by one name only. The programs that stand
        for other people's code include as those do, and libco's headers lie side by side, as its users expect."""
        apart = ("coroutine/libco/", "tests/hooks/libco_programs/", "www/", "examples/", "tests/e2e/programs/")
        wrong = []
        for path, quote, name in includes():
            if quote == '"' and not path.startswith(apart) and not os.path.isfile(os.path.join(tree.ROOT, name)):
                wrong.append(f"{path}: {name}")
        self.assertEqual(wrong, [])

    def test_heavy_headers_stay_in_source_files(self):
        wrong = [f"{path}: {name}" for path, quote, name in includes()
                 if path.split("/")[0] in MAY_INCLUDE and path.endswith(".h") and name.startswith(HEAVY)
                 and name != "openssl/types.h"]  # names alone
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
