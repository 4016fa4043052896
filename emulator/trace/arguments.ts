/**
 * Names for system-call arguments that are flags or enumerations, as on Linux. The argument is identified by its name
 * in the table of kernel/abi/syscalls.ts, or by call and name; values without a name stay numbers.
 */
import { Open, OpenNames, SeekNames } from "../abi/io.ts";
import {
  AdviceNames,
  ArchPrctlNames,
  CloneFlagNames,
  ClockNames,
  FutexFlagNames,
  FutexOperation,
  FutexOperationNames,
  MapFlagNames,
  MembarrierNames,
  ProtNames,
  RandomFlagNames,
  RemapFlagNames,
  ResourceNames,
} from "../abi/process.ts";
import { SignalNames } from "../abi/signal.ts";

type Names = ReadonlyMap<number, string>;
type Decoder = (value: number) => string;

const number = (value: number): string => (value < 10 ? String(value) : `0x${value.toString(16)}`);
const oneOf =
  (names: Names): Decoder =>
  (value) =>
    names.get(value) ?? number(value);

/** Single bits by name, joined by |; bits without a name as one number. `none`: what a value without bits is called. */
const flags =
  (names: Names, none = "0"): Decoder =>
  (value) => {
    const parts: string[] = [];
    let rest = value;
    for (const [bit, name] of names) {
      if (bit <= 0 || (bit & (bit - 1)) !== 0 || (rest & bit) === 0) continue;
      parts.push(name);
      rest &= ~bit;
    }
    if (rest !== 0) parts.push(number(rest >>> 0));
    return parts.join("|") || none;
  };

const openFlags: Decoder = (value) => {
  const rest = flags(OpenNames, "")(value & ~Open.ACCMODE);
  const mode = oneOf(OpenNames)(value & Open.ACCMODE);
  return rest === "" ? mode : `${mode}|${rest}`;
};
const futexOperation: Decoder = (value) => {
  const rest = flags(FutexFlagNames, "")(value & ~FutexOperation.COMMAND_MASK);
  const operation = oneOf(FutexOperationNames)(value & FutexOperation.COMMAND_MASK);
  return rest === "" ? operation : `${operation}|${rest}`;
};
/** The low byte is a signal. */
const cloneFlags: Decoder = (value) => {
  const signal = value & 0xff;
  const rest = flags(CloneFlagNames, "")(value & ~0xff);
  return (
    [rest, signal === 0 ? "" : (SignalNames.get(signal) ?? number(signal))].filter((part) => part !== "").join("|") ||
    "0"
  );
};

// biome-ignore format: a table
const decoders: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ["prot",             flags(ProtNames, "NONE")],
  ["mmap.flags",       flags(MapFlagNames)],
  ["mremap.flags",     flags(RemapFlagNames)],
  ["whence",           oneOf(SeekNames)],
  ["clock",            oneOf(ClockNames)],
  ["advice",           oneOf(AdviceNames)],
  ["resource",         oneOf(ResourceNames)],
  ["open.flags",       openFlags],
  ["openat.flags",     openFlags],
  ["open.mode",        (value) => (value === 0 ? "0" : `0${value.toString(8)}`)],
  ["clone.flags",      cloneFlags],
  ["futex.op",         futexOperation],
  ["arch_prctl.code",  oneOf(ArchPrctlNames)],
  ["getrandom.flags",  flags(RandomFlagNames)],
  ["membarrier.command", oneOf(MembarrierNames)],
  ["openat.dirfd",     (value) => ((value | 0) === -100 ? "AT_FDCWD" : String(value | 0))],
]);

/** "READ|WRITE" for prot=3; undefined where the argument is no such thing. */
export function namedArgument(call: string, argument: string, word: number | bigint): string | undefined {
  const decoder = decoders.get(`${call}.${argument}`) ?? decoders.get(argument);
  return decoder?.(Number(BigInt.asUintN(32, BigInt(word))) | 0);
}
