/**
 * Console input of this node, from either device (uart.ts, keyboard.ts), belongs to the kernel: programs read their
 * standard input from the I/O node. Escape or ^D shows at once the registers and the backtrace of the interrupted code:
 * the device's handler gets no frame, so the dump asks for it. All other characters form a line, and Enter runs it as
 * one of the commands below. Both devices interrupt the first core, so the line has one writer. Commands run in the
 * interrupt and change nothing.
 */
import { breakText, consoleLine, endText, print, printChar, printDecimal, printHex, type Text } from "../arch/text.ts";
import { cpuCount } from "../arch/percpu.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpContext, dumpStrays } from "../core/dump.ts";
import { currentThread, TASKS_MAX, taskAt, TaskState, threadOf } from "../core/task.ts";
import { freeFrameCount, OWNER_KERNEL, ownedFrameCount, ramBytes } from "../mm/frames.ts";
import { stringsEqual } from "../../toolchain/lib/rt/strings.ts";

const KEY_CONTROL_D: u8 = 4;
const KEY_BACKSPACE: u8 = 8;
const KEY_NEWLINE: u8 = 10;
const KEY_RETURN: u8 = 13;
const KEY_ESCAPE: u8 = 27;
const KEY_DELETE: u8 = 127;
const MEGABYTE: u64 = 0x10_0000;
const FRAMES_PER_MEGABYTE: u64 = 256;

/** Longer lines are truncated. */
const LINE_MAX: u32 = 80;
class Input {
  length: u32 = 0;
  /** With room for the NUL. */
  line!: arr<u8, 81>;
}
/**
 * @symbol console_input
 * @keep
 */
export const input: Input = zeroed();

class Command {
  name: ptr<u8> | null = null;
  what: ptr<u8> | null = null;
  run: ((t: ptr<Text>) => void) | null = null;
}
// biome-ignore format: table
const commands: arr<Command, 5> = [
  { name: cstr("help"),       what: cstr("this list; Escape or ^D: registers of what the key interrupts"), run: help },
  { name: cstr("cpus"),       what: cstr("what each core does"),                                           run: describeCpus },
  { name: cstr("tasks"),      what: cstr("jobs of this node"),                                             run: describeTasks },
  { name: cstr("memory"),     what: cstr("frames by owner"),                                               run: describeMemory },
  { name: cstr("interrupts"), what: cstr("those that nobody had a use for"),                               run: describeStrays },
];

/** Called in the device's interrupt. */
export function consoleInput(c: u8): void {
  switch (c) {
    case KEY_CONTROL_D:
    case KEY_ESCAPE:
      dumpInterrupted();
      break;
    case KEY_NEWLINE:
    case KEY_RETURN:
      if (input.length !== 0) runLine();
      break;
    case KEY_BACKSPACE:
    case KEY_DELETE:
      if (input.length !== 0) input.length--;
      break;
    default:
      if (input.length < LINE_MAX) input.line[input.length++] = c;
      break;
  }
}

function dumpInterrupted(): void {
  const frame = interruptedFrame();
  if (frame === null) return;
  const task = currentThread().task;
  const t = consoleLine();
  print(t, cstr("margay: key: interrupted context\n"));
  dumpContext(t, frame, task === null ? null : addr(task.space));
  dumpStrays(t);
  endText(t);
}

function runLine(): void {
  input.line[input.length] = 0;
  input.length = 0;
  const line: ptr<u8> = addr(input.line[0]);
  const t = consoleLine();
  print(t, cstr("margay: console: "));
  print(t, line);
  let found: boolean = false;
  for (let i: u32 = 0; i < commands.length && !found; i++) {
    const name = commands[i].name;
    const run = commands[i].run;
    if (name === null || run === null || !stringsEqual(line, name)) continue;
    found = true;
    printChar(t, KEY_NEWLINE);
    run(t);
  }
  if (!found) print(t, cstr(": no such command: help lists them\n"));
  endText(t);
}

// ---- commands: each writes whole lines -----------------------------------------------------------------------------
function help(t: ptr<Text>): void {
  for (let i: u32 = 0; i < commands.length; i++) {
    const name = commands[i].name;
    const what = commands[i].what;
    if (name === null || what === null) continue;
    print(t, cstr("  "));
    print(t, name);
    print(t, cstr(": "));
    print(t, what);
    printChar(t, KEY_NEWLINE);
    breakText(t);
  }
}

function number(t: ptr<Text>, what: ptr<u8>, value: u64): void {
  print(t, what);
  printDecimal(t, value);
}

function describeCpus(t: ptr<Text>): void {
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    breakText(t);
    number(t, cstr("  cpu "), u64(cpu));
    const thread = threadOf(cpu);
    const task = thread.task;
    if (task === null) {
      print(t, cstr(": idle\n"));
      continue;
    }
    number(t, cstr(": thread "), u64(thread.tid));
    number(t, cstr(" of job "), u64(task.jobId));
    printChar(t, KEY_NEWLINE);
  }
}

function stateName(state: u32): ptr<u8> {
  switch (state) {
    case TaskState.LOADING:
      return cstr("loading");
    case TaskState.INIT:
      return cstr("init");
    case TaskState.RUNNING:
      return cstr("running");
    case TaskState.ENDING:
      return cstr("ending");
    default:
      return cstr("waiting for its children");
  }
}
function describeTasks(t: ptr<Text>): void {
  let count: u64 = 0;
  for (let slot: u32 = 0; slot < TASKS_MAX; slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE) continue;
    count++;
    number(t, cstr("  pid "), u64(task.pid));
    number(t, cstr(" of job "), u64(task.jobId));
    number(t, cstr(" rank "), u64(task.rank));
    print(t, cstr(": "));
    print(t, stateName(task.state));
    number(t, cstr(", threads "), task.threads);
    print(t, cstr(", cores "));
    printHex(t, task.cores, 16);
    printChar(t, KEY_NEWLINE);
    breakText(t);
  }
  if (count === 0) print(t, cstr("  none\n"));
}

function describeMemory(t: ptr<Text>): void {
  number(t, cstr("  MB of "), ramBytes() / MEGABYTE);
  number(t, cstr(": free "), freeFrameCount() / FRAMES_PER_MEGABYTE);
  number(t, cstr(", kernel "), ownedFrameCount(OWNER_KERNEL) / FRAMES_PER_MEGABYTE);
  printChar(t, KEY_NEWLINE);
  for (let slot: u32 = 0; slot < TASKS_MAX; slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE) continue;
    number(t, cstr("  pid "), u64(task.pid));
    number(t, cstr(": frames "), ownedFrameCount(u16(task.pid)));
    printChar(t, KEY_NEWLINE);
    breakText(t);
  }
}

function describeStrays(t: ptr<Text>): void {
  print(t, cstr("  spurious, unexpected and non-maskable:\n"));
  dumpStrays(t);
}
