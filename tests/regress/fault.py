"""What a row of the table of faults is made of."""

import dataclasses
import os
import re

# Where each program's tests are defined, and the target that builds it.
SOURCES = {"coroutine_test": "tests/coroutine", "libco_test": "tests/coroutine", "clock_test": "tests/coroutine",
           "hooks_descriptor_test": "tests/hooks", "hooks_libco_environment_test": "tests/hooks",
           "hooks_resolver_test": "tests/hooks/resolver", "hooks_transparency_test": "tests/hooks/transparency",
           "server_program_process_test": "tests/server/program"}


def _find(folder, pattern):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if name.endswith(".cpp"):
            with open(os.path.join(root, folder, name), encoding="utf-8") as file:
                if re.search(pattern, file.read()):
                    return f"{folder}/{name}"
    raise LookupError(f"no test in {folder} matches {pattern}")


@dataclasses.dataclass(frozen=True)
class Test:
    """One test: "program Suite.Name", "hooks_transparency_test call: case", or "house.file Class.method" of tests/house."""

    program: str
    case: str
    notices: bool = True  # False: it covers the fault, but is not run without the mend

    @property
    def name(self):
        return f"house.{self.program[6:]} {self.case}" if self.house else self.case

    @property
    def house(self):
        return self.program.startswith("house.")

    @property
    def transparent(self):
        return self.program == "hooks_transparency_test"

    @property
    def target(self):
        if self.program == "house.libco_headers":
            return None  # it reads the headers alone; nothing else compiles with one that does not parse
        return "cogi_shared" if self.house else self.program

    @property
    def defined_as(self):
        """What its source has to match."""
        if self.house:
            return rf"def {self.case.split('.')[1]}\b"
        if self.transparent:
            call, name = self.case.split(": ", 1)
            return rf'TRANSPARENT\({call},\s*"{re.escape(name)}"'
        suite, name = self.case.split(".")
        return rf"TEST(_P|_F)?\({suite}, {name}\)"

    @property
    def source(self):
        if self.house:
            return f"tests/house/test_{self.program[6:]}.py"
        return _find(SOURCES[self.program], self.defined_as)

    def folder(self, build, tree):
        return os.path.join(tree, "tests", "house") if self.house else build

    def command(self, build):
        if self.house:
            return ["python3", "-B", "-m", "unittest", "-v", f"test_{self.program[6:]}.{self.case}"]
        folder = "tests/hooks" if self.transparent else SOURCES[self.program]
        path = os.path.join(build, folder, self.program)
        if self.transparent:
            return [path, "--gtest_brief=1", "--gtest_filter=*EveryCaseGivesTheSame*"]
        return [path, "--gtest_brief=1", f"--gtest_filter=*{self.case}*"]

    def environment(self, build):
        if self.house:
            return {"COGI_BUILD": build}
        return {"COGI_ONLY": self.case} if self.transparent else {}


@dataclasses.dataclass(frozen=True)
class Change:
    """In the file `path`, the one place that reads `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Fault:
    text: str  # of libco; numbers are its issues
    tests: tuple[Test, ...] = ()
    without: str = ""  # the mend that `changes` take out
    changes: tuple[Change, ...] = ()
    why_not: str = ""  # no mend can be taken out: why

    @property
    def searched(self):
        return " ".join([self.text, self.without, *(test.name for test in self.tests)])


def fault(text, tests="", without="", changes=(), why_not=""):
    """`tests`: lines of "program case"; a leading "(" marks one that is not run without the mend. `changes`: (path, old, new)."""
    made = []
    for line in filter(None, map(str.strip, tests.split("\n"))):
        program, case = line.strip("()").split(" ", 1)
        made.append(Test(program, case, notices=not line.startswith("(")))
    return Fault(text, tuple(made), without, tuple(Change(*change) for change in changes), why_not)
