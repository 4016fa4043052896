/**
 * The state of a task for a core file, read from a node's memory and cores when its kernel reports that a fault has
 * ended the task. The core that failed is in the kernel and still uses the task's page tables; the other cores are in
 * any state. Reading changes nothing.
 *
 * A thread inside the kernel has its registers on the core's kernel stack: all of them after an exception or an
 * interrupt. A system call saves only the registers that its ABI may change; RBX and R12 to R15 may have been
 * overwritten by kernel functions and read as 0 here.
 */
import type { CoreReport } from "../abi/job.ts";
import { GeneralRegisters } from "../abi/registers.ts";
import { USER_END } from "../abi/memory.ts";
import { Exception, PageFault, PTE_NX, Pte, Selector } from "../abi/x86.ts";
import { auxiliaryVector } from "./auxiliary.ts";
import { CORE_PAGE_BYTES, type CoreArea, type CoreRegister, type CoreThread, type CoreFile, PF } from "./corefile.ts";
import type { KernelTask, KernelView } from "./kernel.ts";

/** e_phnum has 16 bits; one segment is for the notes. */
const AREAS_MOST = 0xfff0;
const ENTRY_BYTES = 8;
const ENTRIES = 512;
const LEVELS = 4;
const bit = (entry: bigint, mask: number): boolean => (entry & BigInt(mask)) !== 0n;
const zeroPage = new Uint8Array(CORE_PAGE_BYTES);

/** @throws Error if the kernel's tables no longer contain the task */
export function coreOf(view: KernelView, nid: number, report: CoreReport, commandLine: string): CoreFile {
  const task = view.tasks(nid).find((t) => t.pid === report.pid && t.jobId === report.jobId);
  if (task === undefined) throw new Error("its task is over");
  const read = (address: bigint, length: number): Uint8Array => readTask(view, nid, task.space, address, length);
  const isPageFault = report.vector === Exception.PF;
  return {
    threads: threads(view, nid, task, report),
    areas: areas(view, nid, task.space),
    pid: report.pid,
    userId: task.datum.numberOf("userId"),
    program: commandLine.split(" ")[0]!.replace(/^.*\//, ""),
    commandLine,
    signal: report.signal,
    // SEGV_MAPERR and SEGV_ACCERR; SI_KERNEL for the others.
    code: !isPageFault ? 0x80 : report.error & PageFault.P ? 2 : 1,
    address: report.address,
    auxiliary: auxiliaryVector(read),
  };
}

// ---- memory --------------------------------------------------------------------------------------------------------

interface Leaf {
  readonly virtual: bigint;
  readonly physical: number;
  readonly bytes: number;
  readonly flags: number;
}

/** The task's own pages, ascending. Source: Intel SDM vol. 3A, 4.5. */
function* leaves(
  view: KernelView,
  nid: number,
  table: number,
  level = LEVELS,
  base = 0n,
  above = ~0n,
): Generator<Leaf> {
  const bytes = view.control.readPhysical(nid, table, ENTRIES * ENTRY_BYTES);
  if (bytes.length < ENTRIES * ENTRY_BYTES) return;
  const entries = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const span = 1n << BigInt(12 + 9 * (level - 1));
  for (let i = 0; i < ENTRIES; i++) {
    const virtual = base + BigInt(i) * span;
    if (virtual >= BigInt(USER_END)) return;
    const entry = entries.getBigUint64(i * ENTRY_BYTES, true);
    if (!bit(entry, Pte.P) || !bit(entry, Pte.U)) continue;
    // Permissions are those that all levels allow; NX applies if any level sets it.
    const rights = entry & above & BigInt(Pte.W);
    const nx = (entry | ~above) & PTE_NX;
    const physical = Number(entry & BigInt(Pte.ADDRESS));
    if (level > 1 && !bit(entry, Pte.PS)) {
      yield* leaves(view, nid, physical, level - 1, virtual, (rights === 0n ? ~BigInt(Pte.W) : ~0n) & ~nx);
      continue;
    }
    const flags = PF.R | (rights === 0n ? 0 : PF.W) | (nx === 0n ? PF.X : 0);
    yield { virtual, physical, bytes: Number(span), flags };
  }
}

function areas(view: KernelView, nid: number, root: number): readonly CoreArea[] {
  const found: { address: bigint; flags: number; pages: Uint8Array[] }[] = [];
  for (const leaf of leaves(view, nid, root)) {
    const last = found.at(-1);
    const isNext =
      last !== undefined &&
      last.flags === leaf.flags &&
      last.address + BigInt(last.pages.length * CORE_PAGE_BYTES) === leaf.virtual;
    const area = isNext ? last : { address: leaf.virtual, flags: leaf.flags, pages: [] };
    if (!isNext) {
      if (found.length === AREAS_MOST) return found;
      found.push(area);
    }
    for (let at = 0; at < leaf.bytes; at += CORE_PAGE_BYTES) {
      const page = view.control.readPhysical(nid, leaf.physical + at, CORE_PAGE_BYTES);
      area.pages.push(page.length < CORE_PAGE_BYTES || Buffer.compare(page, zeroPage) === 0 ? zeroPage : page);
    }
  }
  return found;
}

/** Returns the bytes up to the first that is not mapped. */
function readTask(view: KernelView, nid: number, root: number, address: bigint, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let done = 0; done < length; ) {
    const at = address + BigInt(done);
    const inPage = Math.min(length - done, CORE_PAGE_BYTES - Number(at % BigInt(CORE_PAGE_BYTES)));
    const physical = translate(view, nid, root, at);
    const part = physical === undefined ? undefined : view.control.readPhysical(nid, physical, inPage);
    if (part === undefined || part.length === 0) break;
    parts.push(part);
    done += part.length;
  }
  return Buffer.concat(parts);
}
function translate(view: KernelView, nid: number, root: number, address: bigint): number | undefined {
  let table = root;
  for (let level = LEVELS; level > 0; level--) {
    const shift = BigInt(12 + 9 * (level - 1));
    const index = Number((address >> shift) & BigInt(ENTRIES - 1));
    const entry = word(view.control.readPhysical(nid, table + ENTRY_BYTES * index, ENTRY_BYTES));
    if (!bit(entry, Pte.P)) return undefined;
    const next = Number(entry & BigInt(Pte.ADDRESS));
    if (level === 1 || bit(entry, Pte.PS)) return next + Number(address & ((1n << shift) - 1n));
    table = next;
  }
  return undefined;
}
/** Little-endian; 0 if the bytes are missing. */
const word = (bytes: Uint8Array): bigint =>
  bytes.length < 8 ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);

// ---- threads -------------------------------------------------------------------------------------------------------

const reported = Object.keys(GeneralRegisters.OFFSETS) as (keyof typeof GeneralRegisters.OFFSETS)[];
/** Words below the top of a core's kernel stack after an interrupt (kernel/arch/frame.ts), and in a system call. */
// biome-ignore format: from the top down
const frame = [
  "ss", "rsp", "rflags", "cs", "rip", undefined, undefined, "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
] as const;
/** RAX is the call's number: `rax` of a thread that has not come back is what it called. */
// biome-ignore format: from the top down
const call = ["rsp", "rflags", "rip", "rax", "rdi", "rsi", "rdx", "r10", "r8", "r9"] as const;
const userSegments = {
  cs: BigInt(Selector.USER_CODE),
  ss: BigInt(Selector.USER_DATA),
  ds: BigInt(Selector.USER_DATA),
  es: BigInt(Selector.USER_DATA),
  /** Not a system call to be repeated. */
  orig_rax: -1n,
};

function threads(view: KernelView, nid: number, task: KernelTask, report: CoreReport): readonly CoreThread[] {
  const all = view.global(nid, "threads")?.elements ?? [];
  const found: CoreThread[] = [];
  for (const [index, thread] of all.entries()) {
    if (thread.bits("task") !== task.datum.address || (task.cores >> BigInt(index)) % 2n === 0n) continue;
    const core = view.control.core(nid, index);
    const isInKernel = core.cpl === 0;
    const registers: Partial<Record<CoreRegister, bigint>> = {
      ...userSegments,
      fs_base: core.register("fs_base"),
      gs_base: core.register(isInKernel ? "kernel_gs_base" : "gs_base"),
    };
    if (index === report.core) for (const name of reported) registers[name] = report[name];
    else if (isInKernel) Object.assign(registers, saved(view, nid, index));
    else for (const name of reported) registers[name] = core.register(name);
    const one = { tid: thread.numberOf("tid"), registers, fx: core.readFx() };
    if (index === report.core) found.unshift(one);
    else found.push(one);
  }
  return found;
}

/** Registers of a program while its core is in the kernel. */
function saved(view: KernelView, nid: number, core: number): Partial<Record<CoreRegister, bigint>> {
  const top = view.global(nid, "cpus")?.elements[core]?.bits("kernelStackTop") ?? 0n;
  const at = (n: number): bigint => word(view.control.readMemory(nid, core, top - BigInt(8 * (n + 1)), 8));
  const registers: Partial<Record<CoreRegister, bigint>> = {};
  // A stack pointer is never a selector value, so the top word tells the two cases apart.
  const names = at(0) === BigInt(Selector.USER_DATA) ? frame : call;
  for (const [n, name] of names.entries()) if (name !== undefined) registers[name] = at(n);
  if (names === call) {
    // After the words of the call: the return address into the entry, and the first registers that the handler has
    // pushed.
    registers.rbp = at(call.length + 1);
    registers.rcx = registers.rip!;
    registers.r11 = registers.rflags!;
  }
  return registers;
}
