"""Where things are: the source tree, the build folder, programs of the system, free ports."""

import os
import shutil
import socket

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.abspath(os.environ.get("COGI_BUILD", os.path.join(SOURCE, "build")))
COGI = os.path.join(BUILD, "cogi")
SITE = os.path.join(BUILD, "www")
PROGRAMS = os.path.join(BUILD, "tests", "e2e", "programs")  # *.cgi by `cogi cc`, plain/* by the compiler alone


def tool(name):
    """The full path of a system program; sbin folders included, since tests may run without them in PATH."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install the package that holds it (see test.sh)")
    return found


def free_port():
    """A TCP port of 127.0.0.1 that nobody used a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
