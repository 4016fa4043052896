/**
 * The main stack in the layout of the System V ABI (AMD64 supplement 3.4.1): from the stack pointer upwards argc, argv,
 * envp, the auxiliary vector, and above them random bytes and strings. The random bytes are derived from job and rank,
 * so that a run can be repeated.
 */
import type { ElfImage, ProgramHeader } from "../../toolchain/lib/rt/elf.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { stringLength } from "../../toolchain/lib/rt/strings.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import {
  PAGE_BYTES,
  USER_STACK_BYTES,
  USER_STACK_READY_BYTES,
  USER_STACK_TOP,
  USER_STRINGS_BYTES,
} from "../../kernel/abi/memory.ts";
import { Auxiliary, type AuxiliaryEntry, CLOCK_TICKS_PER_SECOND, MapFlag, Prot } from "../../kernel/abi/process.ts";
import { mmap } from "../lib/syscall.ts";
import type { Init } from "./layout.ts";
import { argCountOf, firstArgOf, nextString, stringAt } from "./parameters.ts";

/** What the stack is built from. */
export class Start {
  image!: ElfImage;
  /** `entry` 0: the program has no dynamic linker. */
  linker!: ElfImage;
  /** Strings that replace argv[0] of a script. */
  texts!: ptr<u8>;
  textCount: u32 = 0;
}

/** Number of entries of the auxiliary vector, including the last one. */
const AUXILIARY_COUNT: u64 = 18;
const RANDOM_BYTES: u64 = 16;

/** Writes words upwards. */
class Writer {
  words!: ptr<u64>;
  at: u64 = 0;
}
function put(w: ptr<Writer>, word: u64): void {
  w.words[w.at++] = word;
}
function putEntry(w: ptr<Writer>, type: u64, value: u64): void {
  put(w, type);
  put(w, value);
}
/** Pointers to `count` strings from `text` on. */
function putStrings(w: ptr<Writer>, text: ptr<u8>, count: u64): void {
  let s = text;
  for (let i: u64 = 0; i < count; i++) {
    put(w, cast<u64>(s));
    s = nextString(s);
  }
}
function stringsBytes(text: ptr<u8>, count: u64): u64 {
  let s = text;
  for (let i: u64 = 0; i < count; i++) s = nextString(s);
  return cast<u64>(s) - cast<u64>(text);
}
/** Copies to just below `end`; returns the address. */
function push(end: u64, from: ptr<u8>, lengthBytes: u64): u64 {
  memcpy(cast<ptr<u8>>(end - lengthBytes), from, lengthBytes);
  return end - lengthBytes;
}

/** The part that most programs use has its memory from the start, the rest on first touch. */
function mapStack(): i64 {
  const flags: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  const top: u64 = USER_STACK_TOP - USER_STACK_READY_BYTES;
  const ready: i64 = mmap(top, USER_STACK_READY_BYTES, Prot.READ | Prot.WRITE, flags, -1, 0);
  if (ready < 0) return ready;
  const rest: u64 = USER_STACK_BYTES - USER_STACK_READY_BYTES;
  return mmap(top - rest, rest, Prot.READ | Prot.WRITE, flags | MapFlag.STACK, -1, 0);
}
/** Maps the stack and fills its top. Returns the stack pointer or -errno. */
export function buildStack(init: ptr<Init>, start: ptr<Start>): i64 {
  const p = init.parameters;
  const mapped: i64 = mapStack();
  if (mapped < 0) return mapped;
  const program: u32 = init.programOfRank[init.rank];
  const path = stringAt(p, program);
  const platform = cstr("x86_64");
  // A script's own argv[0] is dropped: the texts end with the script's path.
  const dropped: u32 = start.textCount === 0 ? 0 : 1;
  const given = stringAt(p, firstArgOf(p, program) + dropped);
  const givenCount: u64 = u64(argCountOf(p, program) - dropped);
  const variables = stringAt(p, p.programCount + p.argCount);
  const textBytes: u64 = stringsBytes(start.texts, start.textCount);
  const givenBytes: u64 = stringsBytes(given, givenCount);
  const variableBytes: u64 = stringsBytes(variables, p.envCount);
  const pathBytes: u64 = stringLength(path) + 1;
  const argc: u64 = u64(start.textCount) + givenCount;
  const wordsBytes: u64 = (1 + argc + 1 + u64(p.envCount) + 1) * 8 + AUXILIARY_COUNT * sizeof<AuxiliaryEntry>();
  if (textBytes + givenBytes + variableBytes + pathBytes + wordsBytes + PAGE_BYTES > USER_STRINGS_BYTES)
    return -Errno.E2BIG;

  const pathAt: u64 = push(USER_STACK_TOP - 8, path, pathBytes);
  const variablesAt: u64 = push(pathAt, variables, variableBytes);
  const givenAt: u64 = push(variablesAt, given, givenBytes);
  const textsAt: u64 = push(givenAt, start.texts, textBytes);
  const platformAt: u64 = push(textsAt, platform, stringLength(platform) + 1);
  const random: u64 = (platformAt - RANDOM_BYTES) & ~15;
  fillRandom(cast<ptr<u64>>(random), p.jobId, init.rank);
  const stackPointer: u64 = (random - wordsBytes) & ~15;

  const w: Writer = zeroed();
  w.words = cast<ptr<u64>>(stackPointer);
  put(addr(w), argc);
  putStrings(addr(w), cast<ptr<u8>>(textsAt), start.textCount);
  putStrings(addr(w), cast<ptr<u8>>(givenAt), givenCount);
  put(addr(w), 0);
  putStrings(addr(w), cast<ptr<u8>>(variablesAt), p.envCount);
  put(addr(w), 0);
  // The order is Linux's (fs/binfmt_elf.c). There is no vDSO: AT_SYSINFO_EHDR is absent.
  putEntry(addr(w), Auxiliary.HWCAP, featureBits());
  putEntry(addr(w), Auxiliary.PAGESZ, PAGE_BYTES);
  putEntry(addr(w), Auxiliary.CLKTCK, CLOCK_TICKS_PER_SECOND);
  putEntry(addr(w), Auxiliary.PHDR, start.image.programHeaders);
  putEntry(addr(w), Auxiliary.PHENT, sizeof<ProgramHeader>());
  putEntry(addr(w), Auxiliary.PHNUM, start.image.programHeaderCount);
  putEntry(addr(w), Auxiliary.BASE, start.linker.base);
  putEntry(addr(w), Auxiliary.FLAGS, 0);
  putEntry(addr(w), Auxiliary.ENTRY, start.image.entry);
  putEntry(addr(w), Auxiliary.UID, p.userId);
  putEntry(addr(w), Auxiliary.EUID, p.userId);
  putEntry(addr(w), Auxiliary.GID, p.userId);
  putEntry(addr(w), Auxiliary.EGID, p.userId);
  putEntry(addr(w), Auxiliary.SECURE, 0);
  putEntry(addr(w), Auxiliary.RANDOM, random);
  putEntry(addr(w), Auxiliary.EXECFN, pathAt);
  putEntry(addr(w), Auxiliary.PLATFORM, platformAt);
  putEntry(addr(w), Auxiliary.NULL, 0);
  return i64(stackPointer);
}
/** AT_HWCAP of x86: CPUID leaf 1, EDX. */
export function featureBits(): u64 {
  return asm<u64>({ in: { rax: u64(1) }, out: "rdx", clobber: ["rax", "rbx", "rcx"] })`cpuid`;
}
/** splitmix64 from job and rank. */
function fillRandom(to: ptr<u64>, jobId: u32, rank: u32): void {
  let state: u64 = (u64(jobId) << 32) | u64(rank);
  for (let i: u64 = 0; i < RANDOM_BYTES / 8; i++) {
    state += 0x9e37_79b9_7f4a_7c15;
    let z: u64 = state;
    z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
    z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
    to[i] = z ^ (z >> 31);
  }
}
