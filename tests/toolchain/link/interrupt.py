# Run by gdb on a kernel in QEMU, whose serial line receives a character. Follows the interrupt (its vector is $vector)
# from its stub to its return and checks at every instruction that the interrupted frames are unchanged. Prints one
# line: instructions, the functions of the deepest stack (including inlined ones), and the problems.
import json
import gdb

MASK = (1 << 64) - 1
REGISTERS = ["rsp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]


def value(frame, name):
    return int(frame.read_register(name).cast(gdb.lookup_type("unsigned long"))) & MASK


def frames():
    found = []
    frame = gdb.newest_frame()
    while frame is not None:
        found.append(frame)
        frame = frame.older()
    return found


def described(frame):
    return [frame.pc()] + [value(frame, r) for r in REGISTERS]


gdb.execute("hbreak *((unsigned long)&trapStubs + 5 * $vector)", to_string=True)
gdb.execute("continue", to_string=True)
gdb.execute("set scheduler-locking step", to_string=True)

problems = []
deepest = []
# The stub itself, and its caller, the signal frame.
outer = frames()[2:]
interrupted = described(outer[0])
expected = [frame.pc() for frame in outer]
steps = 0
while steps < 5000 and len(problems) < 10:
    steps += 1
    gdb.execute("stepi", to_string=True)
    now = frames()
    if len(now) > len(deepest):
        deepest = [frame.name() for frame in now]
    if now[0].pc() == interrupted[0] and value(now[0], "rsp") == interrupted[1]:
        if described(now[0]) != interrupted:
            problems.append("returned with other registers")
        break
    tail = now[-len(expected):]
    if [frame.pc() for frame in tail] != expected:
        problems.append("%x: %s" % (now[0].pc(), " ".join("%x" % frame.pc() for frame in now)))
    elif described(tail[0]) != interrupted:
        problems.append("%x: registers of the interrupted frame: %s" % (now[0].pc(), " ".join("%x" % v for v in described(tail[0]))))
    elif now[-1].unwind_stop_reason() != gdb.FRAME_UNWIND_OUTERMOST:
        problems.append("%x: the stack ends with '%s'" % (now[0].pc(), gdb.frame_stop_reason_string(now[-1].unwind_stop_reason())))
else:
    problems.append("no return after %d instructions" % steps)
print("FOLLOWED " + json.dumps({"steps": steps, "deepest": deepest, "problems": problems}))
gdb.execute("kill")
