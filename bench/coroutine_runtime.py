#!/usr/bin/env python3
"""The coroutine runtime's figures beside their goals, in one table: coroutine_core, then coroutine_scale with ten million
coroutines (5 GiB of memory). An argument is another number of coroutines; 0 leaves them out."""

import os
import re
import subprocess
import sys

from measure import SERVER_CORE, table
from harness import paths

FOLDER = os.path.join(paths.BUILD, "bench", "coroutine_runtime")
FIGURE = re.compile(r"(.+?)\s+([\d.]+)\s+at most\s+([\d.]+)\s+(met|MISSED)$")


def figures(program, *arguments):
    """Runs a program and shows what it prints; returns its figures."""
    print(f"\n{program}\n", flush=True)
    rows = []
    with subprocess.Popen([*SERVER_CORE, os.path.join(FOLDER, program), *arguments], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print("  " + line, end="", flush=True)
            if found := FIGURE.match(line.rstrip()):
                rows.append(list(found.groups()))
    if process.returncode != 0:
        sys.exit(f"{program} ended with {process.returncode}")
    return rows


def main():
    count = sys.argv[1] if len(sys.argv) > 1 else "10000000"
    rows = figures("coroutine_core")
    if count != "0":
        rows += figures("coroutine_scale", count)
    table("The coroutine runtime; CPU time in round trips of Boost.Context's jump_fcontext, unless said otherwise",
          ["", "measured", "at most", ""], rows)


if __name__ == "__main__":
    main()
