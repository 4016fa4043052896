"""
Run by gdb: stops at each of the given lines, wherever its code starts, and prints each stop as a line of JSON:
{"file", "line", "shown": the line that gdb says it is at, "locals": {name: [line of declaration, value]}}. Values: integers (pointers as "symbol+offset" or "null", on the stack as what they point to), doubles
as their bits, lists for structs and arrays, null where gdb has none.
"""
import json
import os
import struct
import gdb


def pointer(value, deep):
    address = int(value) & 0xFFFFFFFFFFFFFFFF
    if address == 0:
        return "null"
    text = gdb.execute("info symbol %d" % address, to_string=True)
    if text.startswith("No symbol"):
        # Something on the stack: what it points to can be compared, where it is cannot.
        return ["to", shown(value.dereference(), False)] if deep else "elsewhere"
    words = text.split(" in section ")[0].split(" + ")
    return "%s+%s" % (words[0], words[1] if len(words) > 1 else "0")


def shown(value, deep=True):
    try:
        type = value.type.strip_typedefs()
        if type.code == gdb.TYPE_CODE_STRUCT:
            return [shown(value[field], deep) for field in type.fields()]
        if type.code == gdb.TYPE_CODE_ARRAY:
            return [shown(value[i], deep) for i in range(type.range()[0], type.range()[1] + 1)]
        if value.is_optimized_out:
            return None
        if type.code == gdb.TYPE_CODE_PTR:
            return pointer(value, deep)
        if type.code == gdb.TYPE_CODE_FLT:
            return struct.unpack("<Q", struct.pack("<d", float(value)))[0]
        return int(value)
    except gdb.error:
        return None


def locals_of(frame):
    found = {}
    block = frame.block()
    while block is not None:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and symbol.addr_class != gdb.SYMBOL_LOC_STATIC and symbol.name not in found:
                found[symbol.name] = [symbol.line, shown(symbol.value(frame))]
        if block.function is not None:
            break
        block = block.superblock
    return found


def addresses_of(file, line):
    """All places where code of the line starts; where it has none, those that gdb takes instead."""
    try:
        sals = gdb.decode_line("%s:%d" % (file, line))[1]
    except gdb.error:
        return []
    if sals is None:
        return []
    entries = [entry for sal in sals for entry in (sal.symtab.linetable().line(line) or [])]
    return sorted({entry.pc for entry in entries} or {sal.pc for sal in sals})


def main():
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    gdb.execute("set startup-with-shell off")
    gdb.execute("set debuginfod enabled off")
    # In the order in which the reference comes to them, which is that of several at one address.
    at = {}
    for file, line in json.loads(os.environ["STOP_LINES"]):
        for address in addresses_of(file, line):
            if address not in at:
                gdb.Breakpoint("*%d" % address).silent = True
            at.setdefault(address, []).append((file, line))
    gdb.execute("run", to_string=True)
    while gdb.selected_inferior().pid != 0:
        frame = gdb.newest_frame()
        shown_line = frame.find_sal().line
        values = locals_of(frame)
        for file, line in at.get(frame.pc(), []):
            print("STOP " + json.dumps({"file": file, "line": line, "shown": shown_line, "locals": values}))
        gdb.execute("continue", to_string=True)


main()
