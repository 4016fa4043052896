/**
 * Commands that a kernel developer types, on a machine under a real gdb, beyond those of the session on the page:
 * control of breakpoints and steps, registers of all kinds and their changes, searches, and the end.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { gdbVersion } from "./serve.ts";
import { debugged, expectInOrder, type Session } from "./sections.ts";

const script: Readonly<Record<string, readonly string[]>> = {
  ignore: ["break lap", "ignore 1 2", "continue", "info breakpoints", "print me"],
  condition: ["condition 1 me == 0", "continue", "print me", "condition 1", "tbreak lap thread 2.1", "continue"],
  commands: [
    "commands 1",
    "silent",
    'printf "lap of %d: %d\\n", me, tokens.arrived',
    "end",
    "continue",
    "continue",
    "disable 1.1",
    "continue",
    "continue",
    "delete",
  ],
  display: [
    "tbreak send",
    "continue",
    "display tokens.leaving",
    "display/i $pc",
    "next",
    "next",
    "undisplay 1",
    "next",
  ],
  until: ["undisplay", "until 125", "info line", "advance lap", "bt 1", "until", "info display"],
  skip: ["tbreak lap", "continue", "skip function send", "info skip", "step", "step", "bt 1", "skip delete"],
  jump: ["delete", "tbreak send", "continue", "next", "next", "next", "info line 118", "tbreak *$_", "jump *$_"],
  registers: [
    ...["info float", "print $st0", "set var $st0 = 1.5", "print $st0", "set var $ftag = 0xfffc", "info float"],
    ...["print $xmm0.uint128", "set var $xmm3.v2_double[1] = 2.25", "set var $xmm3.v4_int32[0] = -7", "print $xmm3"],
    ...["info vector", "set var $mxcsr = 0x9fc0", "print $mxcsr", "set var $mxcsr = 0x1f80"],
    ...[
      "set var $eflags |= 0x801",
      "print $eflags",
      "info registers eflags cs ss ds es fs gs fs_base gs_base k_gs_base",
    ],
    ...["set var $r15 = 0x123456789abcdef0", "set var $r14d = 7", "stepi", "print/x $r15", "print $r14"],
    ...["print $xmm3.v2_double[1]", "print $st0", "print/x $al = 0x55", "print/x $rax & 0xff"],
  ],
  memory: [
    ...["set var tokens.leaving = 0x1122334455667788", "x/2xw &tokens.leaving", "find &tokens, +64, (char)0x88"],
    ...[
      "find /w1 &tokens, +64, 0x11223344",
      "print nids[0]@2",
      "print tokens",
      "x/2i send",
      "x/s complain",
      "set var tokens.leaving = 1",
    ],
    ...["dump binary value /dev/null nids", "info symbol &tokens"],
  ],
  return: ["delete", "tbreak waitEvent", "continue", "bt 2", "return -5", "bt 1", "next"],
  string: ["tbreak writeAll", "continue", "x/s from", "print (int)lengthBytes"],
  kernel: [
    ...["tbreak exitGroup if $cs == 8", "continue", "info frame", "up", "info frame", "down", "list", "disassemble /s"],
    ...["info scope exitGroup", "thread apply 1.1 2.1 print $rip", "nexti", "stepi 2", "print findTask(1)->jobId"],
    ...["call findTask(1)->rank", "info line", "info source", "tbreak *$rip", "info breakpoints"],
  ],
  end: ["kill", "info inferiors", "run"],
};

describe("commands of gdb on two nodes", () => {
  let session: Session;
  beforeAll(() => {
    if (gdbVersion() !== undefined) session = debugged(script, ["run", "--nodes", "2", "--strict", "ring"]);
  });
  const section = (name: string, ...expected: readonly RegExp[]): void => {
    it(name, (context) => {
      if (gdbVersion() === undefined) context.skip("no gdb on this host");
      expectInOrder(session, name, expected);
    });
  };
  section("ignore", /hit Breakpoint 1\.1, lap \(me=0/, /already hit 3 times/, /= 0\n/);
  section("condition", /lap \(me=0/, /= 0\n/, /lap \(me=1/);
  section("commands", /^lap of 0: 6$/m, /^lap of 1: 7$/m, /^lap of 1: 9$/m, /^lap of 1: 11$/m);
  section(
    "display",
    /hit Temporary breakpoint \d\.1, send \(next=1, first=false\)/,
    /\n1: tokens\.leaving = (\d+)\n2: x\/i \$pc\n=> 0x[0-9a-f]+ <send\+\d+>:\tmov /,
    /\n1: tokens\.leaving = 13\n2: x\/i \$pc\n/,
    // Without the first.
    /^r\.lengthBytes|120\t.*\n2: x\/i \$pc\n/m,
  );
  section(
    "until",
    /send \(.*\) at userland\/jobs\/ring\.ts:125/,
    /Line 125 of .*ring\.ts" starts at address/,
    /lap \(me=0, next=1, first=false\) at /,
    /#0 +lap/,
    /main \(.*\) at userland\/jobs\/ring\.ts/,
    /There are no auto-display expressions now/,
  );
  section("skip", /Function send will be skipped/, /\n1 +y +n <none> +n send\n/, /100\t.*\n101\t/, /#0 +lap/);
  section("jump", /120\t/, /hit Temporary breakpoint \d+, send .*:118\n/);
  section(
    "registers",
    /=>R0: Empty +0x0{20}/,
    /Control Word: +0x037f +IM DM ZM OM UM PM/,
    /\$\d+ = 0\n\$\d+ = 1\.5\n/,
    /=>R0: Valid +0x3fffc0{15} \+1\.5 /,
    /\$\d+ = 0\n\$\d+ = \{.*v2_double = \{[^,]*, 2\.25\}.*v4_int32 = \{-7, 0, 0, /,
    /xmm3 +\{.*uint128 = 0x400200000000000000000000fffffff9\}/,
    /\$\d+ = \[ DAZ IM DM ZM OM UM PM FZ \]/,
    /\$\d+ = \[ CF (?:.*)IF OF \]\neflags +0x[0-9a-f]+ +\[ CF .*\]\ncs +0x2b .*\nss +0x23 /,
    /fs_base +0x0 .*\ngs_base +0x0 .*\nk_gs_base +0xffffffff80/,
    /\$\d+ = 0x123456789abcdef0\n\$\d+ = 7\n\$\d+ = 2\.25\n\$\d+ = 1\.5\n\$\d+ = 0x55\n\$\d+ = 0x55\n/,
  );
  section(
    "memory",
    /<tokens\+8>:\t0x55667788\t0x11223344\n/,
    /<tokens\+8>\n1 pattern found/,
    /<tokens\+12>\n1 pattern found/,
    /= \{1, 2\}\n\$\d+ = \{arrived = \d+, leaving = 1234605616436508552\}/,
    /<send>:\tpush +%rbp\n/,
    /tokens in section \.bss of /,
  );
  section("return", /hit Temporary breakpoint \d+\.1, waitEvent/, /#0 +receive \(\)/, /lap \(me=0/);
  // What `return` has made of it.
  section("string", /0x[0-9a-f]+ <.*>:\t"ring: rank 0: lap: EIO\\n"\n\$\d+ = 23\n/);
  section(
    "kernel",
    /hit Temporary breakpoint \d+\.\d, exitGroup \(call=0x[0-9a-f]+ .*\) at kernel\/syscall\/process\.ts/,
    /frame at 0x[0-9a-f]+:\n rip = 0x[0-9a-f]+ in exitGroup \(.*\); saved rip = (0x[0-9a-f]+)\n/,
    /rbx at 0x[0-9a-f]+, rbp at 0x[0-9a-f]+, .*rip at 0x/,
    /#1 +0x[0-9a-f]+ in checkedCall [\s\S]*?Stack level 1, [\s\S]*?caller of frame at/,
    /#0 +exitGroup/,
    /\tfunction exitGroup\(/,
    /Dump of assembler code for function exitGroup:\nkernel\/syscall\/process\.ts:\n[\s\S]*\n=> 0x/,
    /Scope for exitGroup:/,
    /Thread 1\.1 .*\n\$\d+ = .*<exitGroup[\s\S]*Thread 2\.1 .*\n\$\d+ = /,
    /\$\d+ = 1\n\$\d+ = 0\n/,
    /Current source file is kernel\/syscall\/process\.ts\n[\s\S]*DWARF 5/,
    /Temporary breakpoint (\d+) at (0x[0-9a-f]+): [\s\S]*\1 +breakpoint +del +y +\2 /,
  );
  section("end", /Inferior 1 \(process 1\) killed/);
  it("after kill there is no program: run says so, and starts nothing on this host", (context) => {
    if (gdbVersion() === undefined) context.skip("no gdb on this host");
    const { stderr, status } = session.result;
    expect(stderr).toMatch(/Remote connection closed|Don't know how to run/);
    expect(stderr).not.toMatch(/denied|exec/);
    expect(stderr).toContain("margay: ended by the debugger: the job was ended\n");
    expect(status).toBe(130);
  });
});
