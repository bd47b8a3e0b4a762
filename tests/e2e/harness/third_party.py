"""CGI programs that nobody here wrote: their sources as Debian archives them, fetched by apt (never kept in the tree), compiled
unmodified, once by `cogi cc` and once by the compiler alone."""

import glob
import os
import re
import subprocess
import tarfile

from . import paths

FOLDER = os.path.join(paths.BUILD, "tests", "e2e", "third_party")


class Unavailable(Exception):
    """The sources cannot be had here; the reason is the message."""


def _source_lists(folder):
    """apt's own lists of places, turned into those of sources."""
    os.makedirs(folder, exist_ok=True)
    count = 0
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list"),
                 *glob.glob("/etc/apt/sources.list.d/*.sources")]:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)
            text = re.sub(r"(?m)^deb\s", "deb-src ", text)
            with open(os.path.join(folder, f"{count}.{path.rpartition('.')[2]}"), "w", encoding="utf-8") as file:
                file.write(text)
            count += 1


def fetch(package):
    """The folder with the upstream source of a Debian source package."""
    target = os.path.join(FOLDER, "sources", package)
    if not os.path.isdir(target):
        apt = os.path.join(FOLDER, "apt")
        _source_lists(os.path.join(apt, "lists.d"))
        os.makedirs(os.path.join(apt, "state", "partial"), exist_ok=True)
        os.makedirs(os.path.join(apt, "cache", "archives", "partial"), exist_ok=True)
        options = ["-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={apt}/lists.d",
                   "-o", f"Dir::State::lists={apt}/state", "-o", f"Dir::Cache={apt}/cache", "-o", "APT::Sandbox::User="]
        for command in (["update"], ["source", "--download-only", "--tar-only", package]):
            result = subprocess.run(["apt-get", *options, *command], cwd=apt, capture_output=True, text=True, timeout=180)
            if result.returncode != 0:
                raise Unavailable(f"apt-get {command[0]} {package}: {result.stderr.strip()[-300:]}")
        archive = glob.glob(os.path.join(apt, f"{package}_*.orig.tar.*"))[0]
        with tarfile.open(archive) as tar:
            tar.extractall(target + ".new")
        os.rename(target + ".new", target)
    return glob.glob(os.path.join(target, "*"))[0]


def compile_both(source, folder, name, *flags):
    """folder/NAME.cgi by `cogi cc` and folder/plain/NAME by the compiler, newer than the source and than cogi."""
    os.makedirs(os.path.join(folder, "plain"), exist_ok=True)
    module, plain = os.path.join(folder, name + ".cgi"), os.path.join(folder, "plain", name)
    newest = max(os.path.getmtime(source), os.path.getmtime(paths.COGI))
    if not os.path.exists(module) or os.path.getmtime(module) < newest:
        subprocess.run([paths.COGI, "cc", source, "-o", module, "-O1", "-w", *flags], check=True, timeout=300)
    if not os.path.exists(plain):
        compiler = "cc" if source.endswith(".c") else "c++"
        subprocess.run([compiler, source, "-o", plain, "-O1", "-w", *flags], check=True, timeout=300)
    return module, plain
