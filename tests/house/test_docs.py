"""The documents say what is there: their links lead somewhere, the manual knows every key, the README's program is the example."""

import os
import re
import unittest

import tree


def documents():
    return [p for p in tree.tracked() if p.endswith(".md")]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


class Docs(unittest.TestCase):
    def test_links_lead_somewhere(self):
        dead = []
        for path in documents():
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", without_code(tree.read(path))):
                if "://" not in target and not os.path.exists(
                        os.path.join(tree.ROOT, os.path.dirname(path), target)):
                    dead.append(f"{path}: {target}")
        self.assertEqual(dead, [])

    def test_named_tests_exist(self):
        names = {os.path.basename(p) for p in tree.tracked()}
        missing = [f"{path}: {name}" for path in documents()
                   for name in re.findall(r"\b(?:test_\w+\.py|\w+_test\.cpp)\b", tree.read(path)) if name not in names]
        self.assertEqual(missing, [])

    def test_named_unit_tests_exist(self):
        there = {f"{suite}.{name}" for path in tree.sources() if path.startswith("tests/")
                 for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", tree.read(path), re.MULTILINE)}
        named = {(path, name) for path in documents()
                 for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", tree.read(path))}
        self.assertEqual(sorted(f"{path}: {name}" for path, name in named if name not in there), [])

    def test_the_manual_knows_every_key(self):
        manual = tree.read("config/README.md")
        keys = set()
        for path in tree.tracked():
            if re.fullmatch(r"config/\w+\.cpp", path):
                keys |= set(re.findall(r'(?:Read\w*|Find|ForEach|ReadGroup|ReadLogFile)(?:<[\w:]+>)?\((?:source, )?(?:\w+, )?"(\w+)"',
                                       tree.read(path)))
        self.assertGreater(len(keys), 40)
        unknown = [key for key in sorted(keys) if not re.search(rf'[`"]{key}["`]', manual)]
        self.assertEqual(unknown, [])

    def test_every_setting_is_used(self):
        """A setting that changes nothing would be a lie. What the loader refuses, and says so, is apart."""
        refused = {"connect", "upstream_unix", "upstream_host", "upstream_port"}
        server = "".join(tree.read(p) for p in tree.sources() if p.startswith("server/") or p == "config/route_match.cpp")
        fields = re.findall(r"^  (?!using|return|\[\[)[\w:<>, ]+? (\w+)(?: = [^;]+)?;", tree.read("config/settings.h"), re.MULTILINE)
        self.assertGreater(len(fields), 50)
        unused = [field for field in fields if field not in refused and not re.search(rf"[.>]{field}\b", server)]
        self.assertEqual(unused, [])

    def test_the_program_of_the_readme_is_the_example(self):
        program = re.search(r"^```c\n(.*?)^```", tree.read("README.md"), re.MULTILINE | re.DOTALL).group(1)
        self.assertIn(program, tree.read("examples/visit/visit.c"))


if __name__ == "__main__":
    unittest.main()
