"""The table of libco's faults (tests/regress): each names tests that exist and a mend that is there to be taken out, and the table of its
README is that of faults.py. That the tests notice is shown by tests/regress/mutate.py, which takes a quarter of an hour."""

import os
import re
import sys
import unittest

import tree

sys.path.insert(0, os.path.join(tree.ROOT, "tests", "regress"))
import mutate  # noqa: E402
from faults import FAULTS  # noqa: E402


def read(path):
    with open(os.path.join(tree.ROOT, path), encoding="utf-8") as file:
        return file.read()


class Regress(unittest.TestCase):
    def test_each_fault_has_a_test_or_says_why_it_cannot_be(self):
        for fault in FAULTS:
            with self.subTest(fault.text):
                self.assertTrue(fault.changes and fault.without and fault.tests or fault.why_not)

    def test_each_mend_is_there_once(self):
        for fault in FAULTS:
            for change in fault.changes:
                with self.subTest(fault.text, path=change.path):
                    self.assertEqual(read(change.path).count(change.old), 1, change.old)

    def test_each_test_exists(self):
        for fault in FAULTS:
            for test in fault.tests:
                with self.subTest(test.name):
                    self.assertRegex(read(test.source), test.defined_as)

    def test_the_table_of_the_readme_is_up_to_date(self):
        present, wanted = mutate.readme()
        self.assertEqual(present, wanted, "run tests/regress/mutate.py --write")

    def test_names_of_faults_are_unique(self):
        texts = [fault.text for fault in FAULTS]
        self.assertEqual(len(texts), len(set(texts)))
        self.assertFalse([text for text in texts if re.search(r"[|\n]", text)])


if __name__ == "__main__":
    unittest.main()
