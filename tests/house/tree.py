"""The tree as it is tracked: what the house's tests look at."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked():
    """Paths of all tracked files that exist, from the root. Without git (an unpacked archive), all files but build folders."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if listing.returncode == 0:
        return [p for p in listing.stdout.split("\0") if p and os.path.isfile(os.path.join(ROOT, p))]
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return found


def sources():
    return [p for p in tracked() if p.endswith((".h", ".cpp", ".c", ".S"))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
