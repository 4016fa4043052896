/** The protocol's state machine with a toy target: every packet, and input that no debugger should send. */
import { describe, expect, it } from "vitest";
import { agentCode, AgentError, evaluate } from "../../emulator/gdb/agent.ts";
import { frame, PacketReader, textToHex } from "../../emulator/gdb/framing.ts";
import { registerNumber, registers, targetDescription } from "../../emulator/gdb/registers.ts";
import { Client } from "./client.ts";
import { CODE, HIGH, ToyTarget } from "./toy.ts";

/** Endless: nop, count, read, jump back. */
const LOOP = [0x90, 0x01, 0x02, 0xeb, 0xfb];
/** Attached to all nodes. */
const toy = (nodes = 2, cores = 2): Client => {
  const client = new Client(new ToyTarget(nodes, cores, LOOP)).greet();
  for (let nid = nodes; nid >= 1; nid--) client.ask(`vAttach;${nid}`);
  return client;
};
const little = (value: bigint): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString("hex");
};
const stopped = (thread: string, more = ""): RegExp =>
  new RegExp(`^T05thread:${thread.replace(".", "\\.")};core:\\d+;${more}`);

describe("framing", () => {
  it("what is framed is read back, whatever the bytes", () => {
    const payload = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("latin1");
    expect([...new PacketReader().read(frame(payload))]).toEqual([{ kind: "packet", payload }]);
  });
  it("reads a packet in pieces of any size", () => {
    const bytes = Buffer.concat([Buffer.from("+"), frame("vCont?"), Buffer.from([3]), frame("")]);
    for (let size = 1; size < bytes.length; size++) {
      const reader = new PacketReader();
      const all = [];
      for (let at = 0; at < bytes.length; at += size) all.push(...reader.read(bytes.subarray(at, at + size)));
      expect(all).toEqual([
        { kind: "ack" },
        { kind: "packet", payload: "vCont?" },
        { kind: "interrupt" },
        { kind: "packet", payload: "" },
      ]);
    }
  });
  it("wrong checksums, over-long packets and packets within packets", () => {
    const reader = new PacketReader();
    const read = (text: string) => [...reader.read(Buffer.from(text, "latin1"))].map((r) => r.kind);
    expect(read("$g#00")).toEqual(["bad"]);
    expect(read("$g#zz")).toEqual(["bad"]);
    expect(read(`$${"a".repeat(200_000)}#00`)).toEqual(["bad"]);
    expect(read("$half$g#67")).toEqual(["packet"]);
  });
  it("acknowledges until it is told not to, and sends again what was not taken", () => {
    const client = new Client(new ToyTarget(1, 1, LOOP));
    client.stub.receive(frame("qC"));
    expect(client.received).toEqual(["ack", "QC1"]);
    client.stub.receive(Buffer.from("-"));
    expect(client.received).toEqual(["ack", "QC1", "QC1"]);
    client.stub.receive(Buffer.from("$qC#00"));
    expect(client.received.at(-1)).toBe("nak");
    client.ask("QStartNoAckMode");
    expect(client.ask("qC")).toBe("QC1");
    expect(client.received).toEqual(["QC1"]);
  });
});

describe("threads and inferiors", () => {
  it("nodes are processes, cores are threads with names", () => {
    const client = toy();
    expect(client.ask("?")).toMatch(stopped("p1.1"));
    expect(client.ask("qC")).toBe("QCp1.1");
    expect(client.ask("qfThreadInfo")).toBe("mp1.1,p1.2,p2.1,p2.2");
    expect(client.ask("qsThreadInfo")).toBe("l");
    expect(client.ask("qThreadExtraInfo,p2.2")).toBe(textToHex("n2.c1 toy"));
    expect(client.ask("qXfer:threads:read::0,1000")).toContain(`<thread id="p2.2" core="1" name="n2.c1 toy"/>`);
    expect(client.ask("Tp2.2")).toBe("OK");
    expect(client.ask("Tp2.3")).toBe("E03");
    expect(client.ask("Hgp2.0")).toBe("OK");
    expect(client.ask("qC")).toBe("QCp2.1");
    expect(client.ask("Hgp3.1")).toBe("E03");
    expect(client.ask("Hg-")).toBe("E03");
  });
  it("a debugger without multiprocess extensions sees one list", () => {
    const client = new Client(new ToyTarget(2, 2, LOOP));
    expect(client.ask("qfThreadInfo")).toBe("m1,2,3,4");
    expect(client.ask("Hg4")).toBe("OK");
    expect(client.ask("qThreadExtraInfo,4")).toBe(textToHex("n2.c1 toy"));
    expect(client.ask("T5")).toBe("E03");
  });
  it("nodes are seen from attach to detach; with the last one the machine goes on", () => {
    const client = toy();
    const fresh = new Client(new ToyTarget(2, 2, LOOP)).greet();
    expect(fresh.ask("qfThreadInfo")).toBe("mp1.1,p1.2");
    expect(client.ask("D;1")).toBe("OK");
    expect(client.ask("D;1")).toBe("E03");
    expect(client.ask("qfThreadInfo")).toBe("mp2.1,p2.2");
    expect(client.stub.running).toBe(false);
    expect(client.ask("vAttach;1")).toMatch(/^T05/);
    expect(client.ask("qfThreadInfo")).toBe("mp1.1,p1.2,p2.1,p2.2");
    client.ask("D;1");
    client.ask("D;2");
    expect(client.stub.running).toBe(true);
  });
});

describe("registers", () => {
  it("the description says what the packets hold", () => {
    expect(targetDescription).toContain("<osabi>none</osabi>");
    const sizes = [...targetDescription.matchAll(/bitsize="(\d+)" type="[^"]+" regnum="(\d+)"/g)];
    expect(sizes.map((m) => Number(m[2]))).toEqual(registers.map((_, i) => i));
    const bytes = sizes.reduce((sum, m) => sum + Number(m[1]) / 8, 0);
    expect(toy().ask("g")).toHaveLength(2 * bytes);
    const piece = toy().ask("qXfer:features:read:target.xml:0,40");
    expect(piece).toBe(`m${targetDescription.slice(0, 0x40)}`);
    expect(toy().ask(`qXfer:features:read:target.xml:${(targetDescription.length - 3).toString(16)},40`)).toBe(
      `l${targetDescription.slice(-3)}`,
    );
  });
  it("one register, all registers, and what cannot be set", () => {
    const client = toy();
    const rip = registerNumber("rip").toString(16);
    expect(client.ask(`p${rip}`)).toBe(little(CODE));
    expect(client.ask(`P${rip}=${little(CODE + 1n)}`)).toBe("OK");
    expect(client.ask(`p${rip}`)).toBe(little(CODE + 1n));
    expect(client.ask(`P${rip}=00`)).toBe("E16");
    expect(client.ask("P999=00")).toBe("E16");
    expect(client.ask("p999")).toBe("E16");
    const tr = registerNumber("tr").toString(16);
    expect(client.ask(`P${tr}=28000000`)).toBe("E16");
    // gdb restores every register after a call: one that keeps its value is no change.
    expect(client.ask(`P${tr}=00000000`)).toBe("OK");
    const all = client.ask("g");
    expect(client.ask(`G${all.replace(/^.{16}/, little(77n))}`)).toBe("OK");
    expect((client.target as ToyTarget).state({ nid: 1, core: 0 }).gpr.rax).toBe(77n);
    expect(client.ask("G00")).toBe("E16");
    const xmm3 = registerNumber("xmm3").toString(16);
    expect(client.ask(`P${xmm3}=${"0123456789abcdef".repeat(2)}`)).toBe("OK");
    expect(client.ask(`p${xmm3}`)).toBe("0123456789abcdef".repeat(2));
  });
  it("the x87 tag word tells empty, zero, valid and special registers apart", () => {
    const client = toy();
    const { fx } = (client.target as ToyTarget).state({ nid: 1, core: 0 });
    fx[3] = 6 << 3; // TOP = 6: st0 is physical register 6
    fx[4] = 0b1111_0000; // physical 4…7 hold something: st6, st7, st0, st1
    fx.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], 32); // st0 = 1.0: valid
    fx.set([0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x7f], 48); // st1: NaN, special; st6, st7: zero
    const tag = Buffer.from(client.ask(`p${registerNumber("ftag").toString(16)}`), "hex").readUInt32LE();
    expect(tag.toString(2).padStart(16, "0")).toBe("10" + "00" + "01" + "01" + "11".repeat(4));
  });
});

describe("memory", () => {
  it("reads and writes in text and binary, up to where memory ends", () => {
    const client = toy();
    expect(client.ask("m1000,5")).toBe("900102ebfb");
    expect(client.ask("x1000,5")).toBe("b\x90\x01\x02\xeb\xfb");
    expect(client.ask("M2000,4:2423007d")).toBe("OK");
    expect(client.ask("x2000,4")).toBe("b$#\0}");
    expect(client.ask("X2004,2:*}")).toBe("OK");
    expect(client.ask("m2004,2")).toBe("2a7d");
    expect(client.ask("X0,0:")).toBe("OK");
    expect(client.ask("m7ffe,10")).toBe("0000");
    expect(client.ask("m8000,1")).toBe("E0e");
    expect(client.ask("M7fff,2:0000")).toBe("E0e");
    expect(client.ask("M2000,4:00")).toBe("E16");
    expect(client.ask("m2000")).toBe("E16");
    expect(client.ask("mffffffffffffffffff,1")).toBe("E16");
  });
  it("finds a pattern, also across pieces", () => {
    const client = toy();
    client.ask("M5000,4:64656667");
    expect(client.ask("qSearch:memory:0;8000;defg")).toBe("1,5000");
    expect(client.ask("qSearch:memory:5001;2000;defg")).toBe("0");
    expect(client.ask("qSearch:memory:0;10000;nothing")).toBe("E0e");
    expect(client.ask("qSearch:memory:0;8000;")).toBe("E16");
    expect(client.ask("qMemoryRegionInfo:1234")).toBe("start:0;size:800000000000;permissions:rwx;");
    expect(client.ask("qMemoryRegionInfo:800000000000")).toBe("start:800000000000;size:ffff000000000000;");
    expect(client.ask("qMemoryRegionInfo:ffffffff80100000")).toMatch(/^start:ffff800000000000;.*permissions:rwx;$/);
    expect(client.ask("qMemoryRegionInfo:x")).toBe("E16");
  });
});

describe("going on", () => {
  it("a breakpoint stops the node that it was set on, and the core is the current one", () => {
    const client = toy();
    client.ask("Hgp2.1");
    expect(client.ask("Z0,1001,1")).toBe("OK");
    expect(client.go("vCont;c:p2.-1")).toMatch(stopped("p2.1", "swbreak:;"));
    expect((client.target as ToyTarget).state({ nid: 2, core: 0 }).rip).toBe(CODE + 1n);
    expect(client.ask("qC")).toBe("QCp2.1");
    expect(client.go("vCont;c")).toMatch(stopped("p2.2", "swbreak:;"));
    client.ask("z0,1001,1");
    expect(client.ask("Z1,1003,1")).toBe("OK");
    expect(client.go("c")).toMatch(stopped("p2.1", "hwbreak:;"));
    expect(client.ask("Z5,1003,1")).toBe("E16");
    expect(client.ask("Z0,1003")).toBe("E16");
  });
  it("steps one core, through a range, and backs out of it at a breakpoint", () => {
    const client = toy();
    expect(client.go("vCont;s:p1.2")).toMatch(stopped("p1.2"));
    expect((client.target as ToyTarget).state({ nid: 1, core: 1 }).rip).toBe(CODE + 1n);
    expect(client.go("vCont;r1000,1003:p1.2;c:p1.-1")).toMatch(stopped("p1.2"));
    expect((client.target as ToyTarget).state({ nid: 1, core: 1 }).rip).toBe(CODE + 3n);
    expect(client.go("vCont;r1000,1100:p1.1", 5)).toBe("");
    expect(client.stub.running).toBe(true);
    client.stub.receive(Buffer.from([3]));
    expect(client.stub.advance(10)).toBe("stopped");
    expect(client.received.at(-1)).toMatch(/^T02thread:p1.2/);
    expect(client.ask("vCont;x")).toBe("E16");
    expect(client.ask("vCont;s:p9.1")).toBe("E03");
    expect(client.ask("vCont;t")).toMatch(/^T02/);
  });
  it("watchpoints tell the address and the kind of access", () => {
    const client = toy();
    expect(client.ask("Z2,3008,8")).toBe("OK");
    expect(client.go("vCont;c")).toMatch(stopped("p1.2", "watch:3008;"));
    client.ask("z2,3008,8");
    expect(client.ask("Z3,3000,4")).toBe("OK");
    expect(client.go("vCont;c")).toMatch(stopped("p1.1", "rwatch:3000;"));
    client.ask("z3,3000,4");
    expect(client.ask("Z4,3004,1")).toBe("OK");
    expect(client.go("vCont;c")).toMatch(/awatch:3004;/);
    expect(client.ask("Z2,3000,0")).toBe("E16");
  });
  it("conditions are looked at here; those that fail stop", () => {
    const client = toy(1, 1);
    const code = (...bytes: number[]): string => {
      const hex = Buffer.from(bytes).toString("hex");
      return `X${bytes.length.toString(16)},${hex}`;
    };
    // [0x3000] == 5
    const equals = [
      agentCode("const16"),
      0x30,
      0,
      agentCode("ref64"),
      agentCode("const8"),
      5,
      agentCode("equal"),
      agentCode("end"),
    ];
    expect(client.ask(`Z0,1000,1;${code(...equals)}`)).toBe("OK");
    expect(client.go("vCont;c")).toMatch(stopped("p1.1"));
    expect(client.ask("m3000,8")).toBe("0500000000000000");
    // Again with a second condition, without a separator, as gdb sends it.
    const never = [agentCode("const8"), 0, agentCode("end")];
    expect(client.ask(`Z0,1000,1;${code(...never)}${code(...equals)}`)).toBe("OK");
    expect(client.go("vCont;c", 20)).toBe("");
    client.stub.receive(Buffer.from([3]));
    client.stub.advance(1);
    expect(client.ask(`Z0,1000,1;${code(0xff)}`)).toBe("OK");
    expect(client.go("vCont;c")).toMatch(stopped("p1.1"));
    expect(client.ask("Z0,1000,1;X4,00")).toBe("E16");
  });
  it("who comes to a point that is only out for another's step is told of afterwards", () => {
    const client = toy(1, 2);
    client.ask("Z0,1001,1");
    expect(client.go("vCont;c")).toMatch(stopped("p1.1"));
    // gdb removes its breakpoints while it steps the first core; the second core reaches one while the first waits for
    // its turn.
    client.ask("z0,1001,1");
    (client.target as ToyTarget).turn = 1;
    expect(client.go("vCont;s:p1.1")).toMatch(stopped("p1.1"));
    client.ask("Z0,1001,1");
    expect(client.go("vCont;c")).toMatch(/^O[0-9a-f]+\|T05thread:p1.2;core:1;06/);
    expect(client.go("vCont;c")).toMatch(stopped("p1.2", "swbreak:;"));
    client.ask("z0,1001,1");
    expect(client.go("vCont;c", 10)).toBe("");
  });
  it("low addresses belong to the job that runs, high ones to the node", () => {
    const target = new ToyTarget(1, 1, LOOP);
    const client = new Client(target).greet();
    const node = target.nodes.get(1)!;
    node.task = { pid: 5, space: 0x9000 };
    client.ask("Z0,1001,1");
    expect(client.go("vCont;c")).toMatch(stopped("p1.1"));
    // Another job's task starts while the first still exists.
    const tasks = target.tasks.bind(target);
    target.tasks = (nid) => [{ pid: 5, space: 0x9000 }, ...tasks(nid)];
    node.task = { pid: 6, space: 0xa000 };
    expect(client.go("vCont;c", 10)).toBe("");
    // The first has ended: now the next one's.
    target.tasks = tasks;
    for (let i = 0; i < 5 && client.stub.running; i++) client.stub.advance(100);
    expect(client.received.at(-1)).toMatch(stopped("p1.1"));

    const high = new Client(new ToyTarget(1, 1, LOOP, HIGH + 0x1000n)).greet();
    (high.target as ToyTarget).nodes.get(1)!.task = { pid: 6, space: 0xa000 };
    high.ask("Z0,ffffffff80001001,1");
    expect(high.go("vCont;c")).toMatch(stopped("p1.1"));
  });
  it("a fault and a standstill are shown once, then the run ends", () => {
    const client = new Client(new ToyTarget(1, 1, [0x90, 0xff])).greet();
    expect(client.go("vCont;c")).toMatch(/^O[0-9a-f]+\|T06thread:p1.1/);
    expect(client.go("vCont;c")).toBe("W00;process:1");
    const idle = new Client(new ToyTarget(1, 1, [0xf4])).greet();
    expect(idle.go("vCont;c")).toMatch(/^O[0-9a-f]+\|T02thread:p1.1/);
    expect(idle.go("vCont;c")).toBe("W00;process:1");
  });
  it("a node that is not attached stops the machine, but is no thread of the debugger's", () => {
    const target = new ToyTarget(2, 1, LOOP);
    target.nodes.get(2)!.memory[0x1002] = 0xff;
    const client = new Client(target).greet();
    const reply = client.go("vCont;c");
    expect(reply).toMatch(/^O[0-9a-f]+\|O[0-9a-f]+\|T06thread:p1.1;/);
    expect(Buffer.from(reply.split("|")[1]!.slice(1), "hex").toString()).toContain("n2.c0 has stopped: attach 2");
  });
  it("while it runs only Ctrl-C counts; kill is the owner's to do", () => {
    const client = toy();
    expect(client.go("vCont;c", 3)).toBe("");
    expect(client.ask("g")).toBe("");
    client.stub.receive(Buffer.from([3]));
    expect(client.stub.advance(1)).toBe("stopped");
    expect(client.ask("vKill;9")).toBe("E03");
    expect(client.killed).toBe(false);
    expect(client.ask("vKill;1")).toBe("OK");
    expect(client.killed).toBe(true);
  });
});

describe("connections", () => {
  it("what ran goes on when the debugger is gone, what stood stays; the next one finds it", () => {
    const client = toy();
    client.ask("Z0,1001,1");
    client.stub.disconnected();
    expect(client.stub.running).toBe(false);
    client.stub.connected();
    client.greet();
    expect(client.ask("?")).toMatch(stopped("p1.1"));
    client.go("vCont;c", 2);
    client.stub.disconnected();
    expect(client.stub.running).toBe(true);
    // The breakpoint was removed with its debugger.
    expect(client.stub.advance(100)).toBe("running");
    client.stub.connected();
    expect(client.stub.running).toBe(false);
    expect(client.greet().ask("?")).toMatch(/^T02/);
  });
});

describe("files and documents", () => {
  it("gdb may read the files that are named, and nothing else", () => {
    const target = new ToyTarget(1, 1, LOOP);
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    target.files = [
      { path: "/x/kernel.elf", bytes, base: 0n },
      { path: "/x/a&b", bytes, base: 0x40_0000n },
    ];
    const client = new Client(target).greet();
    expect(client.ask("qXfer:exec-file:read:1:0,fff")).toBe("l/x/kernel.elf");
    expect(client.ask("qXfer:libraries:read::0,fff")).toContain(
      `<library name="/x/a&#38;b"><segment address="0x400000"/></library>`,
    );
    expect(client.ask(`vFile:open:${textToHex("/etc/passwd")},0,0`)).toBe("F-1,2");
    expect(client.ask(`vFile:open:${textToHex("/x/kernel.elf")},1,0`)).toBe("F-1,1e");
    expect(client.ask(`vFile:open:${textToHex("/x/kernel.elf")},0,0`)).toBe("F0");
    expect(client.ask("vFile:pread:0,4,a")).toBe("F4;\x0a\x0b\x0c\x0d");
    expect(client.ask("vFile:pread:0,4,1000")).toBe("F0;");
    expect(client.ask("vFile:pread:7,4,0")).toBe("F-1,9");
    expect(client.ask("vFile:fstat:0")).toMatch(/^F40;/);
    expect(client.ask("vFile:close:0")).toBe("F0");
    expect(client.ask("vFile:unlink:00")).toBe("");
  });
  it("unknown packets and objects", () => {
    const client = toy();
    for (const packet of [
      "vMustReplyEmpty",
      "qTStatus",
      "Y",
      "",
      "qXfer:siginfo:read::0,100",
      "qXfer:constructor:read::0,100",
    ])
      expect(client.ask(packet), packet).toBe("");
    expect(client.ask("qXfer:features:read:other.xml:0,100")).toBe("E00");
    // There is no program, so no stack.
    expect([client.ask("qXfer:auxv:read::0,100"), client.ask("qXfer:auxv:read:x:0,100")]).toEqual(["l", "E00"]);
  });
  it("monitor commands answer on the console", () => {
    expect(toy().ask(`qRcmd,${textToHex("help me")}`)).toBe(`O${textToHex("toy: help me\n")}|OK`);
    expect(toy().ask("qRcmd,0")).toBe("E16");
  });
});

describe("agent expressions", () => {
  const context = {
    registers: new ToyTarget(1, 1, LOOP).registers({ nid: 1, core: 0 }),
    read: (a: bigint, n: number) => new Uint8Array(a < 16n ? n : 0).fill(0xff),
  };
  const run = (...code: (string | number)[]): bigint =>
    evaluate(Uint8Array.from(code.map((c) => (typeof c === "string" ? agentCode(c) : c))), context);
  // biome-ignore format: one a row
  const cases: readonly (readonly [expected: bigint, ...code: (string | number)[]])[] = [
    [5n, "const8", 2, "const8", 3, "add", "end"],
    [0xffff_ffff_ffff_ffffn, "const8", 2, "const8", 3, "sub", "end"],
    [6n, "const8", 2, "const8", 3, "mul", "end"],
    [0xffff_ffff_ffff_fffdn, "const8", 0xf9, "ext", 8, "const8", 2, "div_signed", "end"],
    [3n, "const8", 7, "const8", 2, "div_unsigned", "end"],
    [0xffff_ffff_ffff_ffffn, "const8", 0xf9, "ext", 8, "const8", 2, "rem_signed", "end"],
    [1n, "const8", 7, "const8", 2, "rem_unsigned", "end"],
    [0x100n, "const8", 1, "const8", 8, "lsh", "end"],
    [0n, "const8", 1, "const8", 64, "lsh", "end"],
    [0xffff_ffff_ffff_ffffn, "const8", 0xf9, "ext", 8, "const8", 100, "rsh_signed", "end"],
    [0n, "const8", 0xf9, "ext", 8, "const8", 64, "rsh_unsigned", "end"],
    [1n, "const8", 0, "log_not", "end"],
    [0xffff_ffff_ffff_fffen, "const8", 1, "bit_not", "end"],
    [1n, "const8", 0xff, "ext", 8, "const8", 1, "less_signed", "end"],
    [0n, "const8", 0xff, "ext", 8, "const8", 1, "less_unsigned", "end"],
    [0xffn, "const16", 0xff, 0xff, "zero_ext", 8, "end"],
    [0x0102_0304n, "const32", 1, 2, 3, 4, "end"],
    [0x0102_0304_0506_0708n, "const64", 1, 2, 3, 4, 5, 6, 7, 8, "end"],
    [0xffffn, "const8", 0, "ref16", "end"],
    [CODE, "reg", 0, registerNumber("rip"), "end"],
    [7n, "const8", 1, "if_goto", 0, 7, "end", 0x01, "const8", 7, "end"],
    [9n, "goto", 0, 4, 0x01, "const8", 9, "end"].slice(0) as never,
    [1n, "const8", 1, "const8", 2, "swap", "end"],
    [1n, "const8", 1, "const8", 2, "pop", "end"],
    [4n, "const8", 2, "dup", "add", "end"],
    [1n, "const8", 1, "const8", 2, "const8", 3, "pick", 2, "end"],
    [2n, "const8", 1, "const8", 2, "const8", 3, "rot", "end"],
  ];
  it.each(cases.map((c) => [c.slice(1).join(" "), c] as const))("%s", (_, [expected, ...code]) => {
    expect(run(...code)).toBe(expected);
  });
  it.each([
    ["empty stack", ["add", "end"]],
    ["no end", ["const8", 1]],
    ["cut operand", ["const64", 1]],
    ["endless", ["goto", 0, 0]],
    ["wild jump", ["goto", 0xff, 0xff]],
    ["no memory", ["const8", 99, "ref8", "end"]],
    ["division", ["const8", 1, "const8", 0, "div_signed", "end"]],
    ["unknown", [0xee]],
    ["register", ["reg", 0xff, 0xff, "end"]],
    ["full", ["const8", 1, "dup", "goto", 0, 2]],
  ] as const)("refuses: %s", (_, code) => {
    expect(() => run(...code)).toThrow(AgentError);
  });
});
