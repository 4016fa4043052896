/**
 * An ELF core file in Linux's format for x86-64, which gdb and lldb open together with the program. Pages of zeros
 * become holes of a sparse file. Sources: ELF-64 object file format 1.5; Linux include/uapi/linux/elfcore.h (prstatus,
 * prpsinfo), arch/x86/include/asm/user_64.h (user_regs_struct), include/uapi/asm-generic/siginfo.h.
 */

/** In the order of user_regs_struct. */
// biome-ignore format: Linux's order
export const coreRegisters = [
  "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
  "rip", "cs", "rflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
] as const;
export type CoreRegister = (typeof coreRegisters)[number];

export interface CoreThread {
  readonly tid: number;
  /** Missing registers are 0. */
  readonly registers: Readonly<Partial<Record<CoreRegister, bigint>>>;
  /** FXSAVE64 image, 512 bytes. */
  readonly fx: Uint8Array;
}
/** Contiguous pages with equal permissions. */
export interface CoreArea {
  readonly address: bigint;
  /** Flags of `PF`. */
  readonly flags: number;
  /** CORE_PAGE_BYTES each, in order; a page of zeros may be shared. */
  readonly pages: readonly Uint8Array[];
}
export interface CoreFile {
  /** The thread that failed comes first. */
  readonly threads: readonly CoreThread[];
  readonly areas: readonly CoreArea[];
  readonly pid: number;
  readonly userId: number;
  readonly program: string;
  readonly commandLine: string;
  readonly signal: number;
  /** si_code, and the address of the access if the signal has one. */
  readonly code: number;
  readonly address: bigint;
  /** The auxiliary vector as stored in memory; may be empty. */
  readonly auxiliary: Uint8Array;
}

export const PF = { X: 1, W: 2, R: 4 } as const;
export const CORE_PAGE_BYTES = 4096;
const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
// biome-ignore format: a table
const Note = { PRSTATUS: 1, FPREGSET: 2, PRPSINFO: 3, AUXV: 6, SIGINFO: 0x5349_4749 } as const;
const ET_CORE = 4;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

function note(type: number, body: Uint8Array): Buffer {
  const name = "CORE\0";
  const head = Buffer.alloc(12 + 8);
  head.writeUInt32LE(name.length, 0);
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(type, 8);
  head.write(name, 12, "latin1");
  return Buffer.concat([head, body, Buffer.alloc(roundUp(body.length, 4) - body.length)]);
}

function prstatus({ registers, tid }: CoreThread, file: CoreFile): Buffer {
  const b = Buffer.alloc(336);
  b.writeInt32LE(file.signal, 0);
  b.writeInt16LE(file.signal, 12);
  b.writeInt32LE(tid, 32);
  b.writeInt32LE(file.pid, 40);
  b.writeInt32LE(file.pid, 44);
  for (const [i, name] of coreRegisters.entries())
    b.writeBigUInt64LE(BigInt.asUintN(64, registers[name] ?? 0n), 112 + 8 * i);
  b.writeInt32LE(1, 328);
  return b;
}
function prpsinfo(file: CoreFile): Buffer {
  const b = Buffer.alloc(136);
  b.write("R", 1);
  b.writeUInt32LE(file.userId, 16);
  b.writeUInt32LE(file.userId, 20);
  b.writeInt32LE(file.pid, 24);
  b.writeInt32LE(file.pid, 32);
  b.writeInt32LE(file.pid, 36);
  b.write(file.program.slice(0, 15), 40);
  b.write(file.commandLine.slice(0, 79), 56);
  return b;
}
function siginfo(file: CoreFile): Buffer {
  const b = Buffer.alloc(128);
  b.writeInt32LE(file.signal, 0);
  b.writeInt32LE(file.code, 8);
  b.writeBigUInt64LE(file.address, 16);
  return b;
}
function notes(file: CoreFile): Buffer {
  const parts: Buffer[] = [];
  for (const [i, thread] of file.threads.entries()) {
    parts.push(note(Note.PRSTATUS, prstatus(thread, file)));
    if (i === 0) {
      parts.push(note(Note.PRPSINFO, prpsinfo(file)), note(Note.SIGINFO, siginfo(file)));
      if (file.auxiliary.length > 0) parts.push(note(Note.AUXV, file.auxiliary));
    }
    parts.push(note(Note.FPREGSET, thread.fx));
  }
  return Buffer.concat(parts);
}

const zeros = new Uint8Array(CORE_PAGE_BYTES);
const isZero = (page: Uint8Array): boolean => Buffer.compare(page, zeros) === 0;

/**
 * Writes the file by `write(bytes, position)`; unwritten parts read as zeros. Memory beyond `mostBytes` of data is left
 * out: its segments are shorter in the file than in memory, as on Linux under `ulimit -c`.
 */
export function writeCore(
  file: CoreFile,
  mostBytes: number,
  write: (bytes: Uint8Array, position: number) => void,
): { readonly bytes: number; readonly leftOutBytes: number } {
  const noteBytes = notes(file);
  const table = EHDR_BYTES + PHDR_BYTES * (1 + file.areas.length);
  const head = Buffer.alloc(table);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(head);
  head.writeUInt16LE(ET_CORE, 16);
  head.writeUInt16LE(EM_X86_64, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(BigInt(EHDR_BYTES), 32);
  head.writeUInt16LE(EHDR_BYTES, 52);
  head.writeUInt16LE(PHDR_BYTES, 54);
  head.writeUInt16LE(1 + file.areas.length, 56);
  const segment = (
    index: number,
    type: number,
    flags: number,
    offset: number,
    address: bigint,
    inFile: number,
    inMemory: number,
    align: number,
  ): void => {
    const at = EHDR_BYTES + PHDR_BYTES * index;
    head.writeUInt32LE(type, at);
    head.writeUInt32LE(flags, at + 4);
    for (const [i, value] of [BigInt(offset), address, 0n, BigInt(inFile), BigInt(inMemory), BigInt(align)].entries())
      head.writeBigUInt64LE(value, at + 8 + 8 * i);
  };
  segment(0, PT_NOTE, 0, table, 0n, noteBytes.length, 0, 4);

  let at = roundUp(table + noteBytes.length, CORE_PAGE_BYTES);
  let room = mostBytes;
  let leftOutBytes = 0;
  let end = table + noteBytes.length;
  for (const [i, { address, flags, pages }] of file.areas.entries()) {
    let inFile = 0;
    for (const page of pages) {
      const isHole = isZero(page);
      if (!isHole && room < page.length) break;
      if (!isHole) {
        write(page, at + inFile);
        room -= page.length;
        end = at + inFile + page.length;
      }
      inFile += page.length;
    }
    const inMemory = pages.length * CORE_PAGE_BYTES;
    leftOutBytes += inMemory - inFile;
    segment(1 + i, PT_LOAD, flags, at, address, inFile, inMemory, CORE_PAGE_BYTES);
    at += inFile;
  }
  // A file that ends in a hole would be too short.
  if (at > end) write(Uint8Array.of(0), at - 1);
  write(head, 0);
  write(noteBytes, table);
  return { bytes: Math.max(at, end), leftOutBytes };
}
