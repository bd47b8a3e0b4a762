"""One name, one type: two classes of one qualified name share destructors and templates once they are linked together (C++20
[basic.def.odr]), and no compiler says so."""

import collections
import re
import unittest

import tree

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
TOKEN = re.compile(
    r"namespace\s+([\w:]*)\s*\{"
    r"|(?:class|struct|union|enum(?:\s+(?:class|struct))?)\s+(?:COGI_API\s+|alignas\([^)]*\)\s+)?(\w+)\s*(?:final\s*)?(?::(?!:)[^;{(]*)?\{"
    r"|\{|\}")


def types_of(text):
    """Qualified names of the types that are defined at namespace level, anonymous namespaces apart."""
    around = []  # of the place that is looked at: a namespace's name, "" of an anonymous one, None of anything else
    for token in TOKEN.finditer(NOISE.sub(" ", text)):
        if token.group() == "}":
            del around[-1:]
        elif token.group(1) is not None:
            around.append(token.group(1))
        else:
            if token.group(2) is not None and all(around):
                yield "::".join([*around, token.group(2)])
            around.append(None)


class Names(unittest.TestCase):
    def test_no_two_types_have_one_name(self):
        places = collections.defaultdict(set)
        for path in tree.sources():
            if path.startswith(("coroutine/", "hooks/", "cgi/", "config/", "server/")) and path.endswith((".h", ".cpp")):
                for name in types_of(tree.read(path)):
                    places[name].add(path)
        self.assertGreater(len(places), 200, "the types are not found any more")
        self.assertEqual({name: sorted(where) for name, where in places.items() if len(where) > 1}, {})


if __name__ == "__main__":
    unittest.main()
