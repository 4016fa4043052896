/**
 * Memory from the guest's view: the TLB stays stale exactly as long as the architecture says, whatever the host does;
 * faults have the correct address, RIP and error code; and written code runs as written, whoever wrote it.
 */
import { expect, it } from "vitest";
import { RecordingBus } from "./bus.ts";
import { CODE, describeEngines, fingerprint, Guest, USER, USER_DATA_PAGE } from "./guest.ts";

const sleep = (milliseconds: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
const DATA = 0x4000_0000;

describeEngines("TLB", () => {
  /** Touches many pages (which makes Unicorn resize its TLB on the host's clock), then moves one without INVLPG. */
  function moved(disturb: (guest: Guest) => void): { guest: Guest; entry: number; read: () => bigint } {
    const guest = new Guest();
    const entry = guest.map(BigInt(DATA), 0x50_0063n);
    for (let page = 1; page <= 10; page++)
      guest.map(BigInt(DATA + page * 0x4_0000), BigInt(0x51_0000 + page * 4096) | 0x63n);
    guest.setQuad(0x50_0000, 0xaaaan);
    guest.setQuad(0x50_1000, 0xbbbbn);
    guest.code(
      CODE,
      `mov rax, [${DATA}]; mov rax, cr3; mov cr3, rax; mov rax, [${DATA}]; mov edi, ${DATA}; mov ecx, 10; 1: add rdi, 0x40000; mov rbx, [rdi]; dec ecx; jnz 1b; hlt`,
    );
    guest.code(CODE + 0x200, `mov rax, [${DATA}]; hlt`);
    guest.code(CODE + 0x300, `invlpg [${DATA}]; mov rax, [${DATA}]; hlt`);
    guest.start(guest.core, CODE);
    guest.core.run(1);
    disturb(guest);
    guest.finish();
    guest.setQuad(entry, 0x50_1063n);
    disturb(guest);
    return { guest, entry, read: () => continueAt(guest, CODE + 0x200) };
  }
  /** Wakes the halted core with its architectural state unchanged. */
  function continueAt(guest: Guest, rip: number): bigint {
    const state = guest.core.save();
    guest.core.restore({ ...state, halted: false, rip: BigInt(rip) });
    guest.finish();
    return guest.core.register("rax");
  }

  it("is stale until INVLPG, with host delays and engine flushes in between", () => {
    const results = [
      () => {},
      () => sleep(150),
      (guest: Guest) => guest.engine.flushCaches(),
      (guest: Guest) => {
        sleep(150);
        guest.engine.flushCaches();
      },
    ].map((disturb) => {
      const { guest, read } = moved(disturb);
      const stale = read();
      const state = fingerprint(guest.engine);
      const fresh = continueAt(guest, CODE + 0x300);
      guest.close();
      return `${stale.toString(16)} ${fresh.toString(16)} ${state}`;
    });
    expect(results[0].slice(0, 9)).toBe("aaaa bbbb");
    for (const result of results) expect(result).toBe(results[0]);
  });

  it("INVLPG anywhere in a large page drops it all; MOV CR3 spares global pages; CR4.PGE drops them", () => {
    const guest = new Guest();
    const entry = guest.map(BigInt(DATA), 0x20_01e3n, 1);
    guest.setQuad(0x20_0000 + 0x5000, 1n);
    guest.setQuad(0x40_0000 + 0x5000, 2n);
    const load = `mov rbx, [${DATA + 0x5000}];`;
    const move = (to: number): string => `mov dword ptr [${entry}], ${to | 0x1e3};`;
    guest.code(
      CODE,
      `${load} ${move(0x40_0000)} mov rax, cr3; mov cr3, rax; ${load} mov r8, rbx; invlpg [${DATA + 0x1f_0000}]; ${load} mov r9, rbx
       ${move(0x20_0000)} mov rax, cr4; mov ecx, eax; xor eax, 0x80; mov cr4, rax; mov cr4, rcx; ${load} mov r10, rbx; hlt`,
    );
    guest.start(guest.core, CODE, { cr4: 0x6a0 });
    guest.finish();
    expect(["r8", "r9", "r10"].map((name) => guest.core.register(name))).toEqual([1n, 2n, 1n]);
    guest.close();
  });

  it("is a core's own: another core stays stale until it flushes itself", () => {
    const guest = new Guest({ cores: 2 });
    const entry = guest.map(BigInt(DATA), 0x50_0063n);
    guest.setQuad(0x50_0000, 0xaaaan);
    guest.setQuad(0x50_1000, 0xbbbbn);
    guest.code(CODE, `1: mov rax, [${DATA}]; nop; jmp 1b`);
    guest.code(CODE + 0x100, `mov dword ptr [${entry}], 0x501063; invlpg [${DATA}]; mov rax, [${DATA}]; hlt`);
    const [first, second] = guest.engine.cores;
    guest.start(second, CODE);
    second.run(30);
    guest.start(first, CODE + 0x100);
    guest.finish(first);
    second.run(30);
    expect([first.register("rax"), second.register("rax")]).toEqual([0xbbbbn, 0xaaaan]);
    guest.close();
  });

  it("shows in save(), with what each entry grants", () => {
    const guest = new Guest();
    guest.code(CODE, `mov [0x80000], eax; hlt`);
    guest.start(guest.core, CODE);
    guest.finish();
    expect(guest.core.save().tlb).toEqual([
      { virtual: 0n, physical: 0, bytes: 0x20_0000, permissions: 7, user: false, global: false, dirty: true },
    ]);
    guest.close();
  });
});

describeEngines("page faults", () => {
  /** Runs user code whose #PF handler halts; returns error code, RIP offset and CR2. */
  function fault(
    source: string,
    at: number = USER,
    prepare: (guest: Guest) => void = () => {},
  ): { code: bigint; rip: string; cr2: string; retired: number } {
    const guest = new Guest();
    guest.code(CODE, "hlt");
    guest.gate(14, CODE);
    guest.gate(13, CODE);
    const { length } = guest.engine.ram;
    expect(at).toBeLessThan(length);
    guest.code(at, source);
    prepare(guest);
    guest.start(guest.core, at, { user: true });
    const { reason, retired } = guest.finish(guest.core, 1000);
    expect(reason).toBe("halt");
    const stack = Number(guest.core.register("rsp"));
    const result = {
      code: guest.quad(stack),
      rip: guest.quad(stack + 8).toString(16),
      cr2: guest.core.register("cr2").toString(16),
      retired,
    };
    guest.close();
    return result;
  }

  // biome-ignore format: a table
  it.each([
    { name: "read",                     source: "nop; mov rax, [0x700123]",             code: 4n,  rip: "400001", cr2: "700123" },
    { name: "write in mid-block",       source: "nop; mov eax, 1; mov [0x700125], eax", code: 6n,  rip: "400006", cr2: "700125" },
    { name: "write to read-only",       source: `mov byte ptr [${USER + 5}], 1`,        code: 7n,  rip: "400000", cr2: "400005" },
    { name: "read of supervisor page",  source: "mov rax, [0x100000]",                  code: 5n,  rip: "400000", cr2: "100000" },
    { name: "jump to nowhere",          source: "mov eax, 0x700321; jmp rax",           code: 20n, rip: "700321", cr2: "700321" },
    { name: "read that straddles",      source: `mov rax, [${USER_DATA_PAGE + 0x7ffc}]`, code: 4n, rip: "400000", cr2: "410000" },
    { name: "write that straddles",     source: `mov [${USER_DATA_PAGE + 0x7ffd}], eax`, code: 6n, rip: "400000", cr2: "410000" },
    { name: "locked add: a write",      source: `lock add [${USER_DATA_PAGE + 0x7ffe}], eax`, code: 6n, rip: "400000", cr2: "410000" },
    { name: "in the middle of rep",     source: `mov edi, ${USER_DATA_PAGE + 0x7ff8}; mov ecx, 5; rep stosd`, code: 6n, rip: "40000a", cr2: "410000" },
    { name: "high address",             source: "mov rax, 0xffff800012345678; mov rax, [rax]", code: 4n, rip: "40000a", cr2: "ffff800012345678" },
  ])("$name", ({ source, code, rip, cr2 }) => {
    expect(fault(source)).toMatchObject({ code, rip, cr2 });
  });

  it("an instruction that straddles into a missing page shows its own RIP, after all before it have run", () => {
    const end = USER + 0x8000; // the next page is the data page: make it absent
    const source = "nop; inc ebx; mov rax, 0x1122334455667788";
    const length = 1 + 2 + 10;
    const result = fault(source, end - length + 4, (guest) => {
      guest.map(BigInt(end), 0n);
      guest.map(BigInt(end + 0x1000), 0x50_0007n);
    });
    expect(result).toEqual({ code: 20n, rip: (end - 6).toString(16), cr2: end.toString(16), retired: 3 });
  });

  it("non-canonical addresses are #GP(0)", () => {
    expect(fault("mov rax, 0x8000000000000000; mov rax, [rax]")).toMatchObject({ code: 0n, rip: "40000a" });
  });

  it("user code cannot read the GDT, but may load segments from it", () => {
    expect(fault("mov rax, [0x1008]")).toMatchObject({ code: 5n, cr2: "1008" });
    const guest = new Guest();
    guest.code(CODE, "hlt");
    guest.gate(0x80, CODE, { dpl: 3 });
    guest.code(USER, "mov eax, 0x23; mov ds, ax; mov es, ax; int 0x80");
    guest.start(guest.core, USER, { user: true });
    expect(guest.finish()).toEqual({ reason: "halt", retired: 5 });
    guest.close();
  });

  it("code fetched from device memory is undefined", () => {
    const guest = new Guest();
    guest.map(0xfee0_0000n, 0xfee0_0003n);
    guest.code(CODE, "mov eax, 0xfee00000; jmp rax");
    guest.code(CODE + 0x100, "hlt");
    guest.gate(6, CODE + 0x100);
    guest.start(guest.core, CODE);
    expect(guest.finish()).toEqual({ reason: "halt", retired: 3 });
    expect(guest.quad(Number(guest.core.register("rsp")))).toBe(0xfee0_0000n);
    guest.close();
  });
});

describeEngines("physical addresses", () => {
  it("everything that is not RAM is the bus: below 4 GB, and above", () => {
    const bus = new RecordingBus();
    const guest = new Guest({ bus });
    const places = [8 << 20, 0xc000_0000, 0xfeb0_0000, 0x1_2345_6000, 0xff_ffff_f000];
    places.forEach((place, index) => guest.map(BigInt(DATA + index * 0x1000), BigInt(place) | 3n));
    guest.code(CODE, places.map((_place, index) => `mov eax, [${DATA + index * 0x1000 + 0x10}];`).join(" ") + "hlt");
    guest.start(guest.core, CODE);
    guest.finish();
    expect(bus.log).toEqual(places.map((place, index) => `${index} read ${(place + 0x10).toString(16)} 4`));
    guest.close();
  });

  it("RAM beyond the device hole lies at 4 GB, code in it included", () => {
    const guest = new Guest({ ramBytes: 0xc000_0000 + (4 << 20) });
    guest.map(0xffff_8000_0000_0000n, 0x1_0020_0083n, 1);
    guest.code(0xc020_0000, `mov rbx, [rax + 0x1000]; mov [rax + 0x1008], rbx; hlt`);
    guest.setQuad(0xc020_1000, 0x1234_5678_9abcn);
    guest.code(CODE, `mov rax, 0xffff800000000000; jmp rax`);
    guest.start(guest.core, CODE);
    expect(guest.finish().reason).toBe("halt");
    expect(guest.quad(0xc020_1008)).toBe(0x1234_5678_9abcn);
    guest.close();
  });
});

describeEngines("code that changes", () => {
  it("written by other cores: each sees the last write, however they alternate", () => {
    const guest = new Guest({ cores: 3 });
    const callee = 0x20_0000;
    guest.code(callee, "mov eax, 0x11111111; ret");
    guest.code(CODE, `mov esi, ${callee}; 1: call rsi; hlt; jmp 1b`);
    guest.code(0x12_0000, `mov [${callee + 1}], ebx; hlt`);
    const cores = guest.engine.cores;
    for (let round = 1; round <= 300; round++) {
      const writer = cores[round % 2 ? 0 : 2];
      guest.start(writer, 0x12_0000);
      writer.setRegister("rbx", BigInt(round * 0x1001));
      guest.finish(writer);
      const runner = cores[round % 3 ? 1 : 0];
      guest.start(runner, CODE);
      guest.finish(runner);
      expect(runner.register("rax")).toBe(BigInt(round * 0x1001));
    }
    guest.close();
  });

  it("written by DMA, by its own core, and by an interrupt frame", () => {
    const guest = new Guest();
    const callee = 0x20_0008;
    const call = (): bigint => {
      guest.start(guest.core, CODE);
      guest.finish();
      return guest.core.register("rax");
    };
    guest.code(CODE, `mov esi, ${callee}; call rsi; hlt`);
    guest.code(callee, "mov eax, 1; ret");
    expect(call()).toBe(1n);
    guest.view.setUint32(callee + 1, 2, true);
    guest.engine.invalidateCode(callee + 1, 4);
    expect(call()).toBe(2n);
    guest.code(0x12_0000, `mov dword ptr [${callee + 1}], 3; mov esi, ${callee}; call rsi; hlt`);
    guest.start(guest.core, 0x12_0000);
    guest.finish();
    expect(guest.core.register("rax")).toBe(3n);
    // An interrupt frame pushed over the callee: its first word is RIP, here the bytes of "mov eax, imm32" and more.
    guest.gate(0x40, CODE);
    guest.start(guest.core, 0x4b8, { rsp: callee + 5 * 8 });
    guest.core.injectInterrupt(0x40);
    expect(guest.quad(callee)).toBe(0x4b8n);
    expect(guest.core.run(2).retired).toBe(2);
    guest.core.run(1);
    expect(guest.core.register("rax")).toBe(4n);
    guest.close();
  });

  it("changes ahead in the same block are seen", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `mov byte ptr [rip + 1f + 1], 7; nop; 1: mov eax, 1; hlt`);
    void at;
    guest.start(guest.core, CODE);
    guest.finish();
    expect(guest.core.register("rax")).toBe(7n);
    guest.close();
  });
});

describeEngines("atomics", () => {
  for (const piece of [1, 13, 500]) {
    it(`four cores, interleaved by ${piece}`, () => {
      const guest = new Guest({ cores: 4 });
      const rounds = 500;
      guest.code(
        CODE,
        `mov r15d, ${rounds}; mov edi, 0x201000
         1: lock inc qword ptr [rdi]; mov eax, 1; lock xadd [rdi + 8], rax
         mov rax, [rdi + 16]
         2: lea rbx, [rax + 1]; lock cmpxchg [rdi + 16], rbx; jnz 2b
         mov rax, [rdi + 32]; mov rdx, [rdi + 40]
         3: mov rbx, rax; mov rcx, rdx; add rbx, 1; adc rcx, 0; lock cmpxchg16b [rdi + 32]; jnz 3b
         lock inc qword ptr [rdi + 0xffc]; dec r15d; jnz 1b; hlt`,
      );
      guest.setQuad(0x20_1020, -16n);
      for (const core of guest.engine.cores) guest.start(core, CODE);
      const live = new Set(guest.engine.cores);
      while (live.size) for (const core of [...live]) if (core.run(piece).reason === "halt") live.delete(core);
      const total = BigInt(4 * rounds);
      expect([0, 8, 16, 32, 40, 0xffc].map((offset) => guest.quad(0x20_1000 + offset))).toEqual([
        total,
        total,
        total,
        total - 16n,
        1n,
        total,
      ]);
      guest.close();
    });
  }
});
