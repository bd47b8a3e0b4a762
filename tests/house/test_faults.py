"""tests/FAULTS.md is complete: no row is missing, and each names a test that exists or says that it is not shown."""

import re
import unittest

import tree

TABLE = "tests/FAULTS.md"
VECTORS = "tests/cgi/http_connection_test.cpp"
# What the HTTP front end must withstand has no gaps; of the other families the table has what concerns the web server.
COMPLETE = {"A": 20, "B": 14}


def rows():
    """{id: the cell with the tests}."""
    found = {}
    for line in tree.read(TABLE).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[A-K]\d+", cells[0]):
            found[cells[0]] = cells[-1]
    return found


class Faults(unittest.TestCase):
    def test_no_row_is_missing(self):
        missing = [f"{family}{number}" for family, last in COMPLETE.items() for number in range(1, last + 1)
                   if f"{family}{number}" not in rows()]
        self.assertEqual(missing, [])

    def test_every_row_names_a_test(self):
        self.assertEqual([name for name, tests in rows().items()
                          if not re.search(r"`\w+(\.\w+)?`|test_\w+\.py|not shown", tests)], [])

    def test_named_vectors_exist(self):
        vectors = set(re.findall(r'^    \{"(\w+)",', tree.read(VECTORS), re.MULTILINE))
        named = {(row, vector) for row, tests in rows().items() for vector in re.findall(r"`(\w+)`", tests)}
        self.assertGreater(len(named), 100)
        self.assertEqual(sorted(f"{row}: {vector}" for row, vector in named if vector not in vectors), [])

    def test_every_vector_has_its_row(self):
        refused = re.search(r"kRefused\[\] = \{(.*?)^\};", tree.read(VECTORS), re.MULTILINE | re.DOTALL)[1]
        vectors = set(re.findall(r'^    \{"(\w+)",', refused, re.MULTILINE))
        named = {vector for tests in rows().values() for vector in re.findall(r"`(\w+)`", tests)}
        self.assertEqual(sorted(vectors - named), [])


if __name__ == "__main__":
    unittest.main()
