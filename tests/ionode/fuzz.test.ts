/**
 * Random requests of all calls: none makes the I/O node throw, each is answered or waits for something, and nothing
 * outside the root changes, nor stays open. `make requests N=100000 SEED=1` for long campaigns.
 */
import fs from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { IO_DATA_MAX_BYTES, IoRequest, Open } from "../../emulator/abi/io.ts";
import { ArgKind, Syscall, SyscallNames } from "../../emulator/abi/syscalls.ts";
import { syscallInfos } from "../../emulator/abi/syscalltable.ts";
import { calls } from "../../emulator/ionode/calls/table.ts";
import { Random } from "../fabric/random.ts";
import { cString, IoRig } from "./rig.ts";

const total = Number(process.env["IO_REQUESTS"] ?? 6000);
const firstSeed = Number(process.env["IO_REQUEST_SEED"] ?? 1);
/** Of one task, from its first request to its end. */
const REQUESTS_A_SEED = 500;

// biome-ignore format: a table
const names = [
  "f", "d", "d/x", "d/y", "new", "other", "link", "out", "up", "far", "absolute", "loop", "..", "../secret", ".", "/", "", "d/..", "d/../..",
  "up/secret", "far/secret", "/proc/self/fd/3", "/proc/self/fd/4/../secret", "/proc/self/cwd/..", "/proc/self/root/secret", "/dev/null", "/dev",
  "/proc", "/margay/bin/hello", "/margay/bin", "f/", "f/x", "d/", "n".repeat(256), "\xff\xfe", "/dev/fd/0", "/proc/self/exe",
];
const infos = new Map<number, (typeof syscallInfos)[number]>(syscallInfos.map((info) => [info.number, info]));
const numbers = [...calls.keys()];

function argument(random: Random): bigint {
  if (random.chance(35)) return 0n;
  if (random.chance(15)) return -1n;
  if (random.chance(45)) return BigInt(random.below(8));
  if (random.chance(30)) return 1n << BigInt(random.below(24));
  if (random.chance(30)) return BigInt(random.below(0x10000));
  if (random.chance(30)) return -BigInt(random.below(200));
  return (BigInt(random.next()) << 32n) | BigInt(random.next());
}
/** What the call's arguments ask for, mostly; else anything. */
function request(rig: IoRig, random: Random): Uint8Array {
  const call = random.chance(97) ? numbers[random.below(numbers.length)]! : random.next();
  const info = infos.get(call);
  const args: bigint[] = [];
  const parts: Uint8Array[] = [];
  for (let i = 0; i < 6; i++) {
    const kind: number = info?.kinds[i] ?? 0;
    const isPath = kind === ArgKind.PATH || kind === ArgKind.PATH_OPTIONAL;
    let value = kind === ArgKind.DIRECTORY && random.chance(60) ? -100n : argument(random);
    if (kind === ArgKind.FD && random.chance(80)) value = BigInt(random.below(7));
    if (kind >= ArgKind.ADDRESS) value = BigInt(random.below(2));
    if (isPath && (value !== 0n || kind === ArgKind.PATH))
      parts.push(cString(Buffer.from(names[random.below(names.length)]!, "latin1").toString("latin1")));
    const isStructure =
      kind === ArgKind.READ || (value !== 0n && (kind === ArgKind.READ_OPTIONAL || kind === ArgKind.UPDATE_OPTIONAL));
    if (isStructure) parts.push(structure(random, info!.limits[i]!));
    if (kind === ArgKind.READ_BYTES || (kind === ArgKind.ADDRESS && random.chance(50)))
      parts.push(structure(random, [0, 8, 16, 32, 48, 200][random.below(6)]!));
    args.push(value);
  }
  // The count of WRITE is that of its bytes.
  const data = Buffer.concat(parts);
  if ((call === Syscall.WRITE || call === Syscall.PWRITE64) && random.chance(90)) args[2] = BigInt(data.length);
  const body = rig.request(call, args, data.subarray(0, IO_DATA_MAX_BYTES));
  if (random.chance(3)) new IoRequest(new DataView(body.buffer)).dataBytes = random.next();
  return random.chance(3) ? body.subarray(0, random.below(body.length + 1)) : body;
}
function structure(random: Random, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  const view = new DataView(data.buffer);
  for (let at = 0; at + 8 <= bytes; at += 8) view.setBigUint64(at, BigInt.asUintN(64, argument(random)), true);
  return data;
}
/** What is there, to the times of it. */
function outside(rig: IoRig): string {
  const rows = [rig.base, ...[rig.builtIn, path.join(rig.base, "outside")].flatMap((d) => [d, ...entries(d)])];
  return [...rows, path.join(rig.base, "secret")]
    .map((file) => {
      const s = fs.lstatSync(file, { bigint: true });
      return [file, s.mode, s.nlink, s.size, s.mtimeNs, s.ctimeNs].join(" ");
    })
    .join("\n");
}
const entries = (folder: string): string[] => fs.readdirSync(folder).map((name) => path.join(folder, name));

it(`${total} random requests`, { timeout: 60_000 + total * 10 }, () => {
  const seen = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + total / REQUESTS_A_SEED; seed++) {
    const replay = `seed ${seed}: make requests N=${REQUESTS_A_SEED} SEED=${seed}`;
    const random = new Random(seed);
    const rig = new IoRig({ quotaBytes: 1 << 20 });
    fs.writeFileSync(path.join(rig.base, "secret"), "secret");
    fs.mkdirSync(path.join(rig.base, "outside"));
    fs.writeFileSync(path.join(rig.base, "outside/file"), "outside");
    rig.put("f", "content");
    rig.put("d/x", "x");
    for (const [name, target] of [
      ["link", "f"],
      ["out", "../secret"],
      ["up", ".."],
      ["far", "../../../../.."],
      ["absolute", path.join(rig.base, "secret")],
      ["loop", "loop"],
    ] as const)
      fs.symlinkSync(target, rig.host(name));
    const open = fs.readdirSync("/proc/self/fd").length;
    const before = outside(rig);
    for (const [name, flags] of [
      ["f", Open.RDWR],
      ["d", Open.RDONLY],
      ["made", Open.RDWR | Open.CREAT],
    ] as const)
      rig.open(name, flags);
    for (let i = 0; i < REQUESTS_A_SEED; i++) {
      rig.time += 1000;
      const body = request(rig, random);
      const call = body.length >= 4 ? new DataView(body.buffer, body.byteOffset).getUint32(0, true) : -1;
      try {
        const answer = rig.raw(body);
        const waits = answer === null && rig.io.waitingCount > 0;
        if (answer === null && !waits && call !== Syscall.EXIT_GROUP) throw new Error("no answer");
        if (answer !== null && answer.result >= 0n) seen.add(SyscallNames.get(call) ?? String(call));
        rig.tick(rig.time + 1000);
      } catch (error) {
        throw new Error(`${replay}: request ${i}, ${SyscallNames.get(call) ?? call}: ${String(error)}`, {
          cause: error,
        });
      }
    }
    expect(outside(rig), replay).toBe(before);
    rig.raw(rig.request(Syscall.EXIT_GROUP, []));
    expect(rig.io.taskCount, replay).toBe(0);
    expect(fs.readdirSync("/proc/self/fd").length, replay).toBe(open);
    rig.end();
  }
  // Sockets have no good call; nearly all of the rest must have been seen to work, or the requests are no test.
  const silent = numbers
    .map((n) => SyscallNames.get(n)!)
    .filter((name) => !seen.has(name) && !/SOCK|CONNECT|ACCEPT|SEND|RECV|SHUTDOWN|BIND|LISTEN|GETPEER/.test(name));
  if (total >= 5000) expect(silent.length, silent.join()).toBeLessThan(20);
});
