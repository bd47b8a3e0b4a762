#!/usr/bin/env python3
"""tests/regress/mutate.py [-k REGEX] [--part I/N] [--list] [--write]: shows that the tests of faults.py notice their faults.

Makes a copy of the source tree, in build/regress, and builds and runs the tests there as they are: they must pass. Then, for each
fault in turn, it takes the mend out (a replacement of text), builds what that test needs, runs it, expects it to fail, and puts the
mend back. Prints a line for each fault; exit code 1 if a test has not noticed one. About a quarter of an hour for all of them.

-k REGEX    only the faults whose text, tests or mend match
--part I/N  only the I-th of N equal parts
--list      prints the names of the faults
--write     writes the table of README.md anew (house.regress checks that it is up to date)
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from faults import FAULTS

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COPY = os.path.join(ROOT, "build", "regress", "tree")
BUILD = os.path.join(COPY, "build")  # where it lies in any tree, so that ccache knows what was compiled there
NAMES = os.path.join(HERE, "README.md")
MARK = "| fault of libco | test | mend that was taken out to see it fail |\n|---|---|---|\n"
TEST_SECONDS = 30


def table():
    rows = [MARK]
    for fault in FAULTS:
        tests = ", ".join(f"`{test.name}`" for test in fault.tests) or "-"
        rows.append(f"| {fault.text} | {tests} | {fault.without or 'none: ' + fault.why_not} |\n")
    return "".join(rows)


def readme():
    with open(NAMES, encoding="utf-8") as file:
        text = file.read()
    before, _, after = text.partition(MARK)
    rest = re.sub(r"\A(\|.*\n)*", "", after)
    return text, before + table() + rest


def run(command, seconds, **options):
    """(exit code, output); the code is None if it had not ended in time. All that it has started ends with it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True, **options)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output


def copy_tree():
    """What git knows of, with its times, so that a second run builds little."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, check=True).stdout
    os.makedirs(COPY, exist_ok=True)
    subprocess.run(["rsync", "-a", "--delete", "--from0", "--files-from=-", "--ignore-missing-args", ROOT + "/", COPY + "/"],
                   input=names, check=True)


def configure():
    environment = {**os.environ, "CCACHE_BASEDIR": COPY, "CCACHE_NOHASHDIR": "1"}
    os.environ.update(environment)
    code, output = run(["cmake", "-G", "Ninja", "-S", COPY, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DCOGI_BENCH=OFF",
                        "-DCOGI_EXAMPLES=OFF"], 300)
    if code != 0:
        sys.exit(output)


def build(targets):
    if not targets:
        return 0, ""
    return run(["cmake", "--build", BUILD, "-j", str(os.cpu_count()), "--target", *sorted(targets)], 1500)


def run_test(test):
    return run(test.command(BUILD), TEST_SECONDS, cwd=test.folder(BUILD, COPY), env={**os.environ, **test.environment(BUILD)})


def edit(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        sys.exit(f"{path}: {text.count(old)} places for: {old}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


class WithoutMend:
    """The copy without the mend of one fault; as it was again afterwards."""

    def __init__(self, fault):
        self.paths = {os.path.join(COPY, change.path) for change in fault.changes}
        self.changes = fault.changes

    def __enter__(self):
        for path in self.paths:
            shutil.copy2(path, path + ".whole")
        for change in self.changes:
            edit(os.path.join(COPY, change.path), change.old, change.new)

    def __exit__(self, *_):
        for path in self.paths:
            os.replace(path + ".whole", path)
            os.utime(path)


def verdict(test):
    """How the test has failed, or None."""
    code, output = run_test(test)
    if code is None:
        return "hangs"
    if code == 0:
        return None
    if code < 0:
        return "crashes (" + signal.Signals(-code).name + ")"
    return "fails" if re.search(r"FAILED|Failure|AssertionError|CHECK failed", output) else f"ends with {code}"


def try_fault(fault):
    with WithoutMend(fault):
        code, output = build({test.target for test in fault.tests if test.target})
        if code != 0:
            return ["DOES NOT BUILD\n" + output[-3000:]], False
        verdicts = [(test, verdict(test)) for test in fault.tests if test.notices]
    words = [f"{test.name}: {how or 'NOT NOTICED'}" for test, how in verdicts]
    return words, all(how for _, how in verdicts) and bool(verdicts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-k", metavar="REGEX", default="")
    parser.add_argument("--part", metavar="I/N", default="1/1")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        _, text = readme()
        with open(NAMES, "w", encoding="utf-8") as file:
            file.write(text)
        return
    chosen = [fault for fault in FAULTS if re.search(given.k, fault.searched)]
    if given.list:
        for fault in chosen:
            print(fault.text)
        return
    part, parts = map(int, given.part.split("/"))
    chosen = [fault for fault in chosen if fault.changes][part - 1::parts]
    copy_tree()
    configure()
    tests = {test for fault in chosen for test in fault.tests}
    code, output = build({test.target for test in tests if test.target})
    if code != 0:
        sys.exit(output[-5000:])
    bad = [test.name for test in tests if (result := run_test(test))[0] != 0 and (print(result[1][-3000:]) or True)]
    if bad:
        sys.exit("these fail as they are: " + ", ".join(bad))
    print(f"{len(tests)} tests pass with all mends in; now {len(chosen)} mends are taken out, one at a time", flush=True)
    unnoticed = []
    for fault in chosen:
        start = time.monotonic()
        words, noticed = try_fault(fault)
        if not noticed:
            unnoticed.append(fault.text)
        print(f"{'seen' if noticed else 'MISS'}  {fault.text}\n      without {fault.without}: {'; '.join(words)}"
              f"  [{time.monotonic() - start:.0f} s]", flush=True)
    print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} faults are noticed")
    sys.exit(1 if unnoticed else 0)


if __name__ == "__main__":
    main()
