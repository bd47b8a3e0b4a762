"""gdb commands for programs that run on libcogi.so, on a live process or a core file, with or without debugging
information:

    (gdb) source coroutine/gdb/cogi.py
    (gdb) cogi coroutines          all of them: state, what each waits for and since when, where its frames are
    (gdb) cogi backtrace ID|all    where a parked one stands, its saved frames included

Nothing in the process is changed, and none of its functions is called.
"""

import os
import re
import struct
import sys
import time

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cfi  # noqa: E402  (beside this file)

STATES = ["new", "ready", "running", "nested", "parked", "done"]
RUNNING = 2
WAITS = ["", "descriptor {0}", "one of {0} descriptors", "a time", "lock {0:#x}", "channel {0:#x}",
         "the end of coroutine #{0}", "process {0}", "a name", "a helper thread", "a place"]
DEEPEST = 64

# What a suspended context has at its stack pointer (coroutine/context.h), as DWARF numbers; None: the errno.
FRAMES = {
    "x86_64": [None, 15, 14, 13, 12, 3, 6, "pc"],
    "aarch64": [None, "pc", *range(19, 31), *range(72, 80)],
}


def read(address, length):
    return bytes(gdb.selected_inferior().read_memory(address, length))


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def number(address, size):
    return int.from_bytes(read(address, size), "little")


def text(address):
    out = b""
    while address and len(out) < 200 and (byte := read(address + len(out), 1)) != b"\0":
        out += byte
    return out.decode("utf-8", "replace")


def symbol(name):
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))
    except gdb.error:
        raise gdb.GdbError(f"{name} is not there: does this program run on libcogi.so, and is its symbol table read?")


class Layout(dict):
    """The table that libcogi.so has for us: coroutine/debug_layout.cpp."""

    def __init__(self):
        super().__init__()
        at = symbol("cogi_debug_layout")
        while name := text(at):
            self[name] = word(at + 24)
            at += 32
        if self.get("version") != 1:
            raise gdb.GdbError("this libcogi.so is of another version than this script")
        self.machine = "x86_64" if "x86_64" in self else "aarch64"


class Coroutine:
    def __init__(self, layout, scheduler, address):
        self.layout, self.scheduler, self.address = layout, scheduler, address
        self.nested = False
        self.mark = self.field("mark", 4)
        self.state = self.mark & 0xFF
        self.id = self.field("id")
        self.name = text(self.field("name"))
        self.sp = self.field("sp")
        self.stack = self.field("stack")
        self.saved, self.saved_used = self.field("saved"), self.field("saved_used", 4)
        self.shared = self.field("mode", 1) == 0
        self.elsewhere = bool(self.mark & layout["mark.elsewhere"])
        self.top = word(self.stack + layout["stack.top"]) if self.stack else 0

    def field(self, name, size=8):
        return number(self.address + self.layout["coroutine." + name], size)

    def resumer(self):
        """Who waits for it, by address, while it runs; 0: its thread's own stack."""
        return 0 if self.mark & self.layout["mark.on_top"] else self.field("resumer")

    def suspended(self):
        return self.sp != 0 and (self.nested or STATES[self.state] in ("parked", "ready"))

    def read(self, address, length):
        """Memory as the coroutine will see it when it runs: with its saved frames in their place."""
        low = self.top - self.saved_used
        if self.elsewhere and self.saved_used and low <= address and address + length <= self.top:
            return read(self.saved + (address - low), length)
        return read(address, length)

    def describe(self, now):
        state = "nested" if self.nested else STATES[self.state]
        parts = [f'#{self.id} "{self.name}" {state}']
        kind = self.field("wait_kind", 1)
        if kind and self.sp and state in ("parked", "ready"):
            waiting = (now - self.field("since", 4)) % 2**32  # modulo 49 days, as `since` is
            parts[0] += f" for {WAITS[kind].format(self.field('subject'))}, {waiting} ms"
        parts.append("shared stack" if self.shared else "private stack")
        if self.elsewhere and self.saved_used:
            parts[-1] += f" ({self.saved_used} bytes saved)"
        if self.field("pins", 1):
            parts.append("pinned")
        return ", ".join(parts)


def slabs(layout, scheduler):
    slab = word(scheduler + layout["scheduler.slabs"])
    while slab:
        yield slab
        slab = word(slab + layout["slab.next"])


def coroutines(layout):
    """All coroutines that have not ended, and the milliseconds that their schedulers have been running."""
    schedulers = word(symbol("cogi_debug_schedulers"))
    begin, end = (word(schedulers), word(schedulers + 8)) if schedulers else (0, 0)
    for scheduler in (word(at) for at in range(begin, end, 8)):
        found = []
        for slab in slabs(layout, scheduler):
            for i in range(number(slab + layout["slab.carved"], 4)):
                at = slab + layout["slab.first"] + i * layout["coroutine.size"]
                if word(at + layout["coroutine.scheduler"]) == scheduler:
                    found.append(Coroutine(layout, scheduler, at))
        waiting = {co.resumer() for co in found if co.state == RUNNING}
        for co in found:
            co.nested = co.state == RUNNING and co.address in waiting
        started = word(scheduler + layout["scheduler.started"])
        # The clock of a live process is this machine's; a core file has the time when the loop last looked.
        connection = gdb.selected_inferior().connection
        live = connection is not None and connection.type == "native"
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) if live else word(scheduler + layout["scheduler.now"])
        yield sorted((co for co in found if STATES[co.state] != "done"), key=lambda co: co.id), (now - started) // 10**6


class Modules:
    """Which file's unwind table covers an address."""

    LINE = re.compile(r"^\s*(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\S+)(?: in (.*))?$", re.MULTILINE)

    def __init__(self):
        self.sections = [(int(low, 16), int(high, 16), name, file) for low, high, name, file
                         in self.LINE.findall(gdb.execute("info files", to_string=True))]
        self.headers = {file: low for low, _, name, file in self.sections if name == ".eh_frame_hdr"}

    def header(self, pc):
        for low, high, _, file in self.sections:
            if low <= pc < high and file in self.headers:
                return self.headers[file]
        raise cfi.NoTable("no module is known there")


def frames(co, modules):
    """The return addresses of a suspended coroutine, innermost first, and why they end early, if they do."""
    machine = co.layout.machine
    size = co.layout[machine]
    values = struct.unpack(f"<{size // 8}Q", co.read(co.sp, size))
    registers = {name: value for name, value in zip(FRAMES[machine], values) if name is not None}
    pc = registers.pop("pc")
    registers[cfi.STACK_POINTER[machine]] = co.sp + size
    found = [pc]
    if pc == 0:
        return [], "its stack is not in the core file: gdb's gcore leaves out what has a guard region, the kernel does not"
    try:
        while len(found) < DEEPEST:
            step = cfi.caller(co.read, modules.header(pc - 1), registers, pc, machine)
            if step is None:
                return found, ""
            registers, pc = step
            found.append(pc)
    except (cfi.NoTable, gdb.MemoryError, KeyError, OverflowError) as reason:
        return found, str(reason)
    return found, "deeper than is shown"


def place(pc):
    """A return address in words: the call before it."""
    name = gdb.execute(f"info symbol {pc - 1:#x}", to_string=True)
    name = "??" if name.startswith("No symbol") else name.split(" in section")[0].strip()
    line = gdb.find_pc_line(pc - 1)
    where = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
    file = "" if where else gdb.solib_name(pc - 1)
    return f"{pc:#018x} in {name}{where}" + (f" from {file}" if file else "")


class Cogi(gdb.Command):
    """Coroutines of libcogi.so."""

    def __init__(self):
        super().__init__("cogi", gdb.COMMAND_STACK, prefix=True)


class ListAll(gdb.Command):
    """cogi coroutines: every coroutine, what it waits for and since when."""

    def __init__(self):
        super().__init__("cogi coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        count = 0
        for found, now in coroutines(Layout()):
            for co in found:
                print(co.describe(now))
                count += 1
        print(f"{count} coroutines")


class Backtrace(gdb.Command):
    """cogi backtrace ID, or all: where suspended coroutines stand, innermost frame first."""

    def __init__(self):
        super().__init__("cogi backtrace", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not re.fullmatch(r"\d+|all", argument):
            raise gdb.GdbError("cogi backtrace ID, or: cogi backtrace all")
        modules, seen = Modules(), False
        for found, now in coroutines(Layout()):
            for co in found:
                if argument in ("all", str(co.id)):
                    seen = True
                    self.show(co, now, modules)
        if not seen and argument != "all":
            raise gdb.GdbError(f"there is no coroutine #{argument}")

    @staticmethod
    def show(co, now, modules):
        print(co.describe(now))
        if not co.suspended():
            running = co.state == RUNNING
            print("    " + ("it runs: see gdb's own backtrace of its thread" if running else "it has not run yet"))
            return
        addresses, reason = frames(co, modules)
        for depth, pc in enumerate(addresses):
            print(f"    {depth:<2} {place(pc)}")
        if reason:
            print(f"    ... ({reason})")


Cogi()
ListAll()
Backtrace()
