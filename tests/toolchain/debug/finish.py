"""
Run by gdb: how inlined functions are left. Stops where the code of each inlined copy begins, MOST_VISITS times a place,
at the second visit with the caller selected if that is inlined, too. LEAVE=finish: by `finish`. LEAVE=stepi:
instruction by instruction, until the copy is no longer among the frames. Prints a line of JSON for each: {"place":
address and visit, "line", "frames": names from the innermost on, "level": which of them was left, "ended": names of the
frames then, "at": the address}.
"""
import json
import os
import gdb

LEAVE = os.environ["LEAVE"]
MOST_VISITS = 4
MOST_STEPS = 2000


def frames():
    found = []
    frame = gdb.newest_frame()
    while frame is not None:
        found.append(frame)
        frame = frame.older()
    return found


def starts():
    low, high = (int(gdb.parse_and_eval("(unsigned long)&__text_" + end)) for end in ("start", "end"))
    tables = {}
    pc = low
    while pc < high:
        sal = gdb.find_pc_line(pc)
        if sal.symtab is not None:
            tables.setdefault(sal.symtab.filename, sal.symtab)
        pc = max(pc, sal.last or pc) + 1
    found = set()
    for symtab in tables.values():
        for row in symtab.linetable():
            block = gdb.block_for_pc(row.pc)
            while block is not None and block.function is None:
                block = block.superblock
            if block is not None and block.superblock.function is not None and block.start == row.pc:
                found.add(row.pc)
    return sorted(found)


def step_out(names, level):
    # Counted from the outermost frame, which stays.
    depth = len(names) - level
    for _ in range(MOST_STEPS):
        gdb.execute("stepi", to_string=True)
        now = frames() if gdb.selected_inferior().pid != 0 else []
        if len(now) < depth:
            return
        frame = now[len(now) - depth]
        if frame.name() != names[level] or frame.type() != gdb.INLINE_FRAME:
            return


def leave(names, level):
    if LEAVE == "stepi":
        return step_out(names, level)
    gdb.execute("frame %d" % level, to_string=True)
    gdb.execute("finish", to_string=True)


def main():
    for setting in ("pagination off", "confirm off", "startup-with-shell off", "debuginfod enabled off", "width 0"):
        gdb.execute("set " + setting)
    points = {pc: gdb.Breakpoint("*%d" % pc) for pc in starts()}
    for point in points.values():
        point.silent = True
    visits = {}
    gdb.execute("run", to_string=True)
    while gdb.selected_inferior().pid != 0:
        before = frames()
        pc = before[0].pc()
        visit = visits[pc] = visits.get(pc, 0) + 1
        if visit > MOST_VISITS:
            points[pc].enabled = False
        elif before[0].type() == gdb.INLINE_FRAME:
            level = 1 if visit == 2 and before[1].type() == gdb.INLINE_FRAME else 0
            told = {"place": "%x.%d" % (pc, visit), "frames": [frame.name() for frame in before], "level": level}
            told["line"] = "%s:%d" % (before[0].find_sal().symtab.filename, before[0].find_sal().line)
            enabled = [point for point in points.values() if point.enabled]
            for point in enabled:
                point.enabled = False
            leave(told["frames"], level)
            for point in enabled:
                point.enabled = True
            now = frames() if gdb.selected_inferior().pid != 0 else []
            told["ended"] = [frame.name() for frame in now]
            told["at"] = now[0].pc() if now else 0
            print("LEFT " + json.dumps(told))
            if not now:
                break
        gdb.execute("continue", to_string=True)


main()
