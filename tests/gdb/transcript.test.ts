/**
 * Transcripts: what a real gdb sent and received (`set remotelogfile`), replayed against the state machine. The toy
 * target is the same in both, so every byte must agree. `make test T=gdb/transcript UPDATE=1` records them again with
 * the installed gdb.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { Stub } from "../../emulator/gdb/stub.ts";
import { gdb, gdbVersion, serve } from "./serve.ts";
import { HIGH, ToyTarget } from "./toy.ts";

const folder = path.join(import.meta.dirname, "transcripts");
/** nop, count, read, jump back. */
const LOOP = [0x90, 0x01, 0x02, 0xeb, 0xfb];

interface Transcript {
  readonly name: string;
  readonly target: () => ToyTarget;
  /** gdb's commands after the connection. None may fail: gdb would close its log. */
  readonly commands: readonly string[];
}
const transcripts: readonly Transcript[] = [
  {
    name: "two-nodes",
    target: () => new ToyTarget(2, 2, LOOP),
    commands: [
      "set schedule-multiple on",
      "info threads",
      "add-inferior",
      "inferior 2",
      "attach 2",
      "info threads",
      "break *0x1001",
      "continue",
      "continue",
      "inferior 1",
      "break *0x1003 if $rax > 3",
      "continue",
      "info threads",
      "delete 1",
      "continue",
      "detach",
      "inferior 2",
      "info threads",
    ],
  },
  {
    name: "steps-and-watches",
    target: () => new ToyTarget(1, 2, LOOP, HIGH + 0x1000n),
    commands: [
      "stepi",
      "stepi 3",
      "nexti",
      "hbreak *0xffffffff80001002",
      "continue",
      "watch *(long *)0x3008",
      "rwatch *(long *)0x3000",
      "continue",
      "continue",
      "delete",
      "awatch *(int *)0x3004",
      "continue",
      "info registers rip rax eflags cr0 efer xmm0 st0 mxcsr",
      "set var $rax = 77",
      "set var $xmm1.uint128 = 5",
      "p $rax",
      "p $xmm1.uint128",
      "set var $rip = 0xffffffff80001000",
      "x/3i $rip",
    ],
  },
  {
    name: "memory",
    target: () => {
      const target = new ToyTarget(1, 1, LOOP);
      target.files = [{ path: "/margay/kernel.elf", bytes: new Uint8Array(100), base: 0n }];
      return target;
    },
    commands: [
      "x/4xb 0x1000",
      "set var *(long *)0x2000 = 0x1122334455667788",
      "set var {char[64]}0x2100 = *(char(*)[64])0x1000",
      "p/x *(long *)0x2000",
      "find 0x0, +0x7000, (long)0x1122334455667788",
      "monitor anything at all",
      "p $_siginfo",
      "kill",
    ],
  },
];

/** A line of the log: direction, and the bytes. */
function logged(text: string): readonly { readonly who: string; readonly bytes: string }[] {
  const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
  return text
    .split("\n")
    .filter((line) => /^[wr] /.test(line))
    .map((line) => ({
      who: line[0]!,
      bytes: line
        .slice(2)
        .replace(/\\(?:x([0-9a-f]{2})|([bfnrtv]))/g, (_, hex: string | undefined, name: string) =>
          hex === undefined ? escapes[name]! : String.fromCharCode(Number.parseInt(hex, 16)),
        ),
    }));
}

async function record({ target, commands }: Transcript): Promise<string> {
  const log = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "margay-transcript-")), "log");
  const server = await serve(target(), { port: 0 }, () => {});
  await gdb([`set remotelogfile ${log}`, `target extended-remote ${server.name}`, ...commands]);
  await server.close();
  const text = fs.readFileSync(log, "latin1");
  fs.rmSync(path.dirname(log), { recursive: true });
  return (
    text
      .split("\n")
      .filter((line) => /^[wr] /.test(line))
      // gdb polls while it waits.
      .map((line) => line.replace(/<Timeout: \d+ seconds>/g, ""))
      .filter((line) => line.length > 2)
      .join("\n")
  );
}

describe("transcripts of gdb", () => {
  for (const transcript of transcripts) {
    it(transcript.name, async (context) => {
      const file = path.join(folder, `${transcript.name}.log`);
      if (process.env["UPDATE"] !== undefined) {
        const version = gdbVersion();
        if (version === undefined) return context.skip("no gdb to record with");
        fs.mkdirSync(folder, { recursive: true });
        fs.writeFileSync(file, `${await record(transcript)}\n`);
      }
      const sent: string[] = [];
      let killed = false;
      const stub = new Stub(transcript.target(), {
        send: (bytes) => void sent.push(Buffer.from(bytes).toString("latin1")),
        kill: () => {
          killed = true;
        },
      });
      stub.connected();
      const lines = logged(fs.readFileSync(file, "latin1"));
      expect(lines.length).toBeGreaterThan(20);
      for (let i = 0; i < lines.length; ) {
        let said = "";
        let heard = "";
        for (; lines[i]?.who === "w"; i++) said += lines[i]!.bytes;
        for (; lines[i]?.who === "r"; i++) heard += lines[i]!.bytes;
        sent.length = 0;
        stub.receive(Buffer.from(said, "latin1"));
        for (let turns = 0; stub.running && turns < 1000; turns++) if (stub.advance(1000) === "end") stub.finished(0);
        // Replies that gdb does not read before it leaves are not in its log.
        const answer = sent.join("");
        expect(i === lines.length ? answer.slice(0, heard.length) : answer, `answer to ${said}`).toBe(heard);
      }
      expect(killed).toBe(transcript.commands.includes("kill"));
    });
  }
});
