"""Unwinding by the tables in .eh_frame (DWARF 4, 6.4; LSB 5, "Exception Frames"), from memory that the caller supplies.

gdb can do that itself, but only from the memory of the process: the frames of a parked coroutine may lie in a buffer instead
of at their addresses. Nothing here knows of gdb.
"""

import struct

# Register numbers of DWARF: the stack pointer's, and the column that the return address is found in.
STACK_POINTER = {"x86_64": 7, "aarch64": 31}


class NoTable(Exception):
    """There is no usable unwind table for an address."""


class Reader:
    """A position in memory. read(address, length) gives bytes."""

    def __init__(self, read, at):
        self.read, self.at = read, at

    def take(self, form):
        size = struct.calcsize("<" + form)
        value, = struct.unpack("<" + form, self.read(self.at, size))
        self.at += size
        return value

    def uleb(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def sleb(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value

    def text(self):
        out = b""
        while (byte := self.take("B")) != 0:
            out += bytes([byte])
        return out.decode("ascii", "replace")

    def encoded(self, encoding, data=0):
        """A pointer by a DW_EH_PE encoding; `data` is what data-relative ones count from."""
        base = self.at
        form = encoding & 0x0F
        value = self.uleb() if form == 1 else self.sleb() if form == 9 else self.take(
            {0: "Q", 2: "H", 3: "I", 4: "Q", 10: "h", 11: "i", 12: "q"}[form])
        relative = encoding & 0x70
        if value != 0 or relative == 0x30:
            value += {0x00: 0, 0x10: base, 0x30: data}[relative]
        value &= 2**64 - 1
        return struct.unpack("<Q", self.read(value, 8))[0] if encoding & 0x80 else value


def find_fde(read, header, pc):
    """The address of the frame description of `pc`, by the search table at `header` (.eh_frame_hdr)."""
    reader = Reader(read, header)
    version, frame_encoding, count_encoding, table_encoding = (reader.take("B") for _ in range(4))
    if version != 1 or table_encoding != 0x3B:
        raise NoTable("a search table of another kind")
    reader.encoded(frame_encoding, header)
    count = reader.encoded(count_encoding, header)
    table = read(reader.at, count * 8)
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if header + struct.unpack_from("<i", table, middle * 8)[0] <= pc:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        raise NoTable("below the first function")
    return header + struct.unpack_from("<i", table, (low - 1) * 8 + 4)[0]


class Description:
    """A frame description entry with its common entry: what the rows of `pc` are computed from."""

    def __init__(self, read, address, pc):
        self.read = read
        entry = Reader(read, address)
        length = entry.take("I")
        end = entry.at + length
        common_at = entry.at
        common_at -= entry.take("I")
        self.read_common(common_at)
        self.start = entry.encoded(self.encoding)
        size = entry.encoded(self.encoding & 0x0F)
        if not self.start <= pc < self.start + size:
            raise NoTable("between functions")
        if self.augmented:
            skip = entry.uleb()
            entry.at += skip
        self.program = (entry.at, end)

    def read_common(self, address):
        common = Reader(self.read, address)
        length = common.take("I")
        end = common.at + length
        common.take("I")
        version = common.take("B")
        augmentation = common.text()
        self.code_align, self.data_align = common.uleb(), common.sleb()
        self.return_column = common.take("B") if version == 1 else common.uleb()
        self.encoding, self.signal, self.augmented = 0, False, augmentation.startswith("z")
        if self.augmented:
            size = common.uleb()
            after = common.at + size
            for letter in augmentation[1:]:
                if letter == "R":
                    self.encoding = common.take("B")
                elif letter == "P":
                    common.encoded(common.take("B"))
                elif letter == "L":
                    common.take("B")
                elif letter == "S":
                    self.signal = True
            common.at = after
        self.initial = (common.at, end)


class Row:
    """How to find the caller: the canonical frame address, and a rule for each register that is not kept."""

    def __init__(self):
        self.cfa, self.rules = None, {}

    def copy(self):
        other = Row()
        other.cfa, other.rules = self.cfa, dict(self.rules)
        return other


def row_of(description, pc):
    row = Row()
    execute(description, description.initial, row, None, None)
    initial = row.copy()
    execute(description, description.program, row, initial, pc)
    return row


def execute(description, program, row, initial, pc):
    """Runs call frame instructions until they are past `pc`."""
    reader, end = Reader(description.read, program[0]), program[1]
    location, remembered = description.start if pc is not None else 0, []
    data = description.data_align

    def advance(delta):
        nonlocal location
        location += delta * description.code_align

    def restore(register):
        row.rules.pop(register, None)
        if initial is not None and register in initial.rules:
            row.rules[register] = initial.rules[register]

    def block():
        size = reader.uleb()
        start = reader.at
        reader.at += size
        return start, reader.at

    while reader.at < end and (pc is None or location <= pc):
        code = reader.take("B")
        high, low = code & 0xC0, code & 0x3F
        if high == 0x40:
            advance(low)
        elif high == 0x80:
            row.rules[low] = ("offset", reader.uleb() * data)
        elif high == 0xC0:
            restore(low)
        elif code == 0x00:
            pass
        elif code == 0x01:
            location = reader.encoded(description.encoding)
        elif code in (0x02, 0x03, 0x04):
            advance(reader.take({2: "B", 3: "H", 4: "I"}[code]))
        elif code == 0x05:
            register = reader.uleb()
            row.rules[register] = ("offset", reader.uleb() * data)
        elif code == 0x06:
            restore(reader.uleb())
        elif code == 0x07:
            row.rules[reader.uleb()] = ("undefined", 0)
        elif code == 0x08:
            row.rules.pop(reader.uleb(), None)
        elif code == 0x09:
            register = reader.uleb()
            row.rules[register] = ("register", reader.uleb())
        elif code == 0x0A:
            remembered.append(row.copy())
        elif code == 0x0B:
            was = remembered.pop()
            row.cfa, row.rules = was.cfa, was.rules
        elif code in (0x0C, 0x12):
            register = reader.uleb()
            row.cfa = (register, reader.uleb() if code == 0x0C else reader.sleb() * data)
        elif code == 0x0D:
            row.cfa = (reader.uleb(), row.cfa[1])
        elif code in (0x0E, 0x13):
            row.cfa = (row.cfa[0], reader.uleb() if code == 0x0E else reader.sleb() * data)
        elif code == 0x0F:
            row.cfa = ("expression", block())
        elif code == 0x10:
            row.rules[reader.uleb()] = ("expression", block())
        elif code == 0x16:
            row.rules[reader.uleb()] = ("value_expression", block())
        elif code == 0x11:
            register = reader.uleb()
            row.rules[register] = ("offset", reader.sleb() * data)
        elif code in (0x14, 0x15):
            register = reader.uleb()
            row.rules[register] = ("value", (reader.uleb() if code == 0x14 else reader.sleb()) * data)
        elif code == 0x2D:  # ARM: the return address is signed or not; we look at its address bits only
            pass
        elif code == 0x2E:
            reader.uleb()
        else:
            raise NoTable(f"call frame instruction {code:#x}")


BINARY = {0x1A: lambda a, b: a & b, 0x1C: lambda a, b: a - b, 0x1E: lambda a, b: a * b, 0x21: lambda a, b: a | b,
          0x22: lambda a, b: a + b, 0x24: lambda a, b: a << b, 0x25: lambda a, b: a >> b, 0x27: lambda a, b: a ^ b,
          0x29: lambda a, b: a == b, 0x2A: lambda a, b: a >= b, 0x2B: lambda a, b: a > b, 0x2C: lambda a, b: a <= b,
          0x2D: lambda a, b: a < b, 0x2E: lambda a, b: a != b}


def evaluate(read, block, registers, stack):
    """A DWARF expression: those operations that compilers and the C library use in unwind tables."""
    reader, end = Reader(read, block[0]), block[1]
    stack = list(stack)
    while reader.at < end:
        code = reader.take("B")
        if 0x30 <= code <= 0x4F:
            stack.append(code - 0x30)
        elif 0x70 <= code <= 0x8F:
            stack.append(registers[code - 0x70] + reader.sleb())
        elif code == 0x06:
            stack.append(struct.unpack("<Q", read(stack.pop(), 8))[0])
        elif code in (0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F):
            stack.append(reader.take("BbHhIiQq"[code - 0x08]))
        elif code in (0x10, 0x11):
            stack.append(reader.uleb() if code == 0x10 else reader.sleb())
        elif code == 0x12:
            stack.append(stack[-1])
        elif code == 0x23:
            stack.append(stack.pop() + reader.uleb())
        elif code in BINARY:
            second, first = stack.pop(), stack.pop()
            stack.append(int(BINARY[code](first, second)))
        else:
            raise NoTable(f"operation {code:#x} in an expression")
        stack[-1] &= 2**64 - 1
    return stack[-1]


def caller(read, header, registers, pc, machine):
    """The registers and the program counter of the caller of the frame that has `registers`, or None at the end of the
    stack. `pc` is a return address: the call before it is looked up."""
    description = Description(read, find_fde(read, header, pc - 1), pc - 1)
    row = row_of(description, pc - 1)
    base, offset = row.cfa
    cfa = evaluate(read, offset, registers, []) if base == "expression" else registers[base] + offset
    found = dict(registers)
    for register, (kind, what) in row.rules.items():
        if kind == "offset":
            found[register] = struct.unpack("<Q", read(cfa + what, 8))[0]
        elif kind == "value":
            found[register] = cfa + what
        elif kind == "register":
            found[register] = registers[what]
        elif kind == "expression":
            found[register] = struct.unpack("<Q", read(evaluate(read, what, registers, [cfa]), 8))[0]
        elif kind == "value_expression":
            found[register] = evaluate(read, what, registers, [cfa])
        elif register == description.return_column:
            return None  # undefined: the outermost frame
        else:
            found.pop(register, None)
    found[STACK_POINTER[machine]] = cfa
    back = found.get(description.return_column, 0) & (2**48 - 1)  # without the signature of ARM
    return (found, back) if back else None
