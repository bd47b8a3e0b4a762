"""tests/FAULTS.md is complete: no row is missing, and each names a test that exists or says that it is not shown."""

import re
import unittest

import tree

TABLE = "tests/FAULTS.md"
VECTORS = {"E": "tests/cgi/fastcgi_cases.h"}  # of the other families:
HTTP_VECTORS = "tests/cgi/http_connection_test.cpp"
# What the front ends must withstand has no gaps; of the other families the table has what concerns the web server.
COMPLETE = {"A": 20, "B": 14, "C": 11, "E": 24, "F": 11, "G": 12, "H": 13, "K": 5}


def rows():
    """{id: the cell with the tests}."""
    found = {}
    for line in tree.read(TABLE).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[A-K]\d+", cells[0]):
            found[cells[0]] = cells[-1]
    return found


def vectors_of(row):
    """The names of the table of vectors that a row speaks of."""
    return set(re.findall(r'^    \{"(\w+)",', tree.read(VECTORS.get(row[0], HTTP_VECTORS)), re.MULTILINE))


class Faults(unittest.TestCase):
    def test_no_row_is_missing(self):
        missing = [f"{family}{number}" for family, last in COMPLETE.items() for number in range(1, last + 1)
                   if f"{family}{number}" not in rows()]
        self.assertEqual(missing, [])

    def test_every_row_names_a_test(self):
        self.assertEqual([name for name, tests in rows().items()
                          if not re.search(r"`\w+(\.\w+)?`|test_\w+\.py|not shown", tests)], [])

    def test_named_vectors_exist(self):
        named = {(row, vector) for row, tests in rows().items() for vector in re.findall(r"`(\w+)`", tests)}
        self.assertGreater(len(named), 150)
        self.assertEqual(sorted(f"{row}: {vector}" for row, vector in named if vector not in vectors_of(row)), [])

    def test_named_tests_exist(self):
        unit_tests = set()
        for path in tree.tracked():
            if path.startswith("tests/") and path.endswith(".cpp"):
                found = re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", tree.read(path), re.MULTILINE)
                unit_tests.update(f"{suite}.{name}" for suite, name in found)
        named = {(row, name) for row, tests in rows().items() for name in re.findall(r"`(\w+\.\w+)`|(test_\w+\.py)", tests)}
        scripts = {path.rpartition("/")[2] for path in tree.tracked()}
        self.assertEqual(sorted(f"{row}: {unit or script}" for row, (unit, script) in named
                                if (unit not in unit_tests if unit else script not in scripts)), [])

    def test_every_vector_has_its_row(self):
        refused = re.search(r"kRefused\[\] = \{(.*?)^\};", tree.read(HTTP_VECTORS), re.MULTILINE | re.DOTALL)[1]
        vectors = set(re.findall(r'^    \{"(\w+)",', refused, re.MULTILINE))
        named = {vector for tests in rows().values() for vector in re.findall(r"`(\w+)`", tests)}
        self.assertEqual(sorted(vectors - named), [])


if __name__ == "__main__":
    unittest.main()
