# Run by gdb: single-steps the program from its first instruction to its end and compares, at every instruction, the
# callers that gdb finds (their counters, stack pointers and preserved registers) with the frames tracked while
# stepping: a call instruction pushes, a return pops. Prints one line: instructions, deepest stack, functions seen, and
# the problems.
import json
import gdb

PRESERVED = ["rbx", "rbp", "r12", "r13", "r14", "r15"]
MASK = (1 << 64) - 1
gdb.execute("starti", to_string=True)
callers = []  # (return address, rsp behind the return, preserved registers)
problems = []
steps = 0
deepest = 0
functions = set()


def value(frame, name):
    return int(frame.read_register(name).cast(gdb.lookup_type("unsigned long"))) & MASK


def physical(frame):
    """Frames that have a stack of their own, innermost first."""
    while frame is not None:
        if frame.type() != gdb.INLINE_FRAME:
            yield frame
        frame = frame.older()


def check(pc, name):
    frames = list(physical(gdb.newest_frame()))
    if len(frames) != len(callers) + 1:
        problems.append("%x %s: %d frames, not %d" % (pc, name, len(frames), len(callers) + 1))
        return
    for frame, (back, rsp, kept) in zip(frames[1:], reversed(callers)):
        if frame.pc() != back:
            problems.append("%x %s: caller at %x, not %x" % (pc, name, frame.pc(), back))
        if value(frame, "rsp") != rsp:
            problems.append("%x %s: caller's rsp %x, not %x" % (pc, name, value(frame, "rsp"), rsp))
        for register in PRESERVED:
            if value(frame, register) != kept[register]:
                problems.append("%x %s: caller's %s %x, not %x" % (pc, name, register, value(frame, register), kept[register]))
    last = frames[-1].unwind_stop_reason()
    if last != gdb.FRAME_UNWIND_OUTERMOST:
        problems.append("%x %s: the stack ends with '%s'" % (pc, name, gdb.frame_stop_reason_string(last)))


while gdb.selected_inferior().pid != 0 and len(problems) < 20 and steps < 20000:
    frame = gdb.newest_frame()
    pc = frame.pc()
    name = frame.function().name if frame.function() else frame.name()
    functions.add(name)
    check(pc, name)
    instruction = frame.architecture().disassemble(pc)[0]
    text = instruction["asm"]
    rsp = value(frame, "rsp")
    if text.startswith("call"):
        callers.append((pc + instruction["length"], rsp, {r: value(frame, r) for r in PRESERVED}))
    elif text.startswith("ret"):
        callers.pop()
    deepest = max(deepest, len(callers))
    gdb.execute("stepi", to_string=True)
    steps += 1
print("WALKED " + json.dumps({"steps": steps, "deepest": deepest, "functions": sorted(functions), "problems": problems}))
