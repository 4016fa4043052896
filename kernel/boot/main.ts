/**
 * The boot list. Each step depends on those above it; `boot` is read from top to bottom. Lines up to "ready" hold no
 * times, addresses or order of processors, so they are the same on every machine with the same parts.
 */
import {
  FW_CFG_DATA,
  FW_CFG_SELECTOR,
  FwCfgKey,
  type PvhMemory,
  type PvhModule,
  PVH_MAGIC,
  type PvhStartInfo,
} from "../abi/platform.ts";
import { KERNEL_STACK_BYTES, MAX_CPUS, MIN_RAM_BYTES } from "../abi/memory.ts";
import { KERNEL_PID, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import type { Personality } from "../abi/personality.ts";
import { UART_GSI } from "../abi/uart.ts";
import { IRQ_VECTOR_BASE, Vector } from "../abi/vectors.ts";
import { crc32cStart } from "../../toolchain/lib/rt/crc32c.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { stringLengthMax } from "../../toolchain/lib/rt/strings.ts";
import { clockStart } from "../arch/clock.ts";
import { portRead8, portWrite16 } from "../arch/cpu.ts";
import { crossCallStart } from "../arch/crosscall.ts";
import { assert, fatal } from "../arch/fatal.ts";
import { fpuStart } from "../arch/fpu.ts";
import { fromUser } from "../arch/frame.ts";
import { IST_STACK_BYTES, loadGdt } from "../arch/gdt.ts";
import { buildIdt, loadIdt } from "../arch/idt.ts";
import { ioapicStart } from "../arch/ioapic.ts";
import { lapicError, lapicId, lapicStart } from "../arch/lapic.ts";
import { protectionStart } from "../arch/protection.ts";
import { cpuAt, cpuCount, enterPerCpu, setCpuCount } from "../arch/percpu.ts";
import { lock } from "../arch/spinlock.ts";
import { consoleLine, consoleStart, endLine, print, printDecimal } from "../arch/text.ts";
import { timerStart } from "../arch/timer.ts";
import { divertDeviceInterrupts, interruptedFrame, registerInterrupt } from "../arch/trap.ts";
import { faultsStart } from "../core/fault.ts";
import { enterIdle } from "../core/idle.ts";
import { panicStart, refuseBoot } from "../core/panic.ts";
import { keyboardStart } from "../drivers/keyboard.ts";
import { uartStart } from "../drivers/uart.ts";
import { netNid, netPresent, netProbe } from "../drivers/virtio-net.ts";
import { ioLost, ioStart } from "../io/client.ts";
import { fileCallsStart } from "../io/files.ts";
import { fileMappingsStart } from "../io/mapping.ts";
import { childLoaded, exitLost, exitStart, probeNeighbours } from "../job/exit.ts";
import { debugStart } from "../job/debug.ts";
import { loadStart } from "../job/load.ts";
import { jobSignalsStart } from "../job/signal.ts";
import { coreReportsStart } from "../job/report.ts";
import { statusStart } from "../job/status.ts";
import { failAllocation, framesStart, physical, ramBytes, reserveFrames, OWNER_RESERVED } from "../mm/frames.ts";
import { imageEndPhysical, kernelMapEnter, kernelMapStart } from "../mm/kernelmap.ts";
import { disableShootdownIpis } from "../mm/shootdown.ts";
import { allocateKernelMessage, messagesStart, sendMessage, setPrefix } from "../net/message.ts";
import { pendingLost } from "../net/pending.ts";
import { portalsStart } from "../net/portals.ts";
import { netLock } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";
import { syscallStart } from "../syscall/entry.ts";
import { cloneCallsStart } from "../syscall/clone.ts";
import { futexCallsStart } from "../syscall/futex.ts";
import { identityCallsStart } from "../syscall/identity.ts";
import { limitCallsStart } from "../syscall/limits.ts";
import { scheduleCallsStart } from "../syscall/schedule.ts";
import { upcallCallsStart } from "../syscall/upcall.ts";
import { intervalCallsStart } from "../syscall/interval.ts";
import { margayCallsStart, personality } from "../syscall/margay.ts";
import { memoryCallsStart } from "../syscall/memory.ts";
import { processCallsStart } from "../syscall/process.ts";
import { closeSyscalls } from "../syscall/table.ts";
import { signalCallsStart } from "../syscall/signal.ts";
import { threadCallsStart } from "../syscall/thread.ts";
import { timeCallsStart } from "../syscall/time.ts";
import { COMMAND_LINE_MAX, parameters, parseParameters } from "./parameters.ts";
import { processorStack, startProcessor } from "./trampoline.ts";

const MEGABYTE: u64 = 0x10_0000;
/**
 * The first core's kernel stack.
 * @align 4096
 */
export const bootStack: arr<u8, 16384> = zeroed();
const commandLine: arr<u8, 2049> = zeroed();
/** @align 4096 */
const istStacks: arr<u8, 8192> = zeroed();
const modules: PvhModule = zeroed();

/** The first core, in the upper half, on the boot page tables and the boot stack. `startInfo`: physical address. */
export function bootMain(startInfo: u64): never {
  attr({ inline: "never" });
  boot(physical<PvhStartInfo>(startInfo));
  enterIdle();
  unreachable();
}

function boot(info: ptr<PvhStartInfo>): void {
  // ---- this core
  enterPerCpu(0, cast<u64>(addr(bootStack)) + KERNEL_STACK_BYTES); // GS: everything below asks which core it is
  consoleStart(); //                        errors have a way out
  panicStart();
  faultsStart();
  loadGdt(0, cpuAt(0).kernelStackTop, cast<u64>(addr(istStacks)));
  buildIdt(); //                            from here on an exception is a panic, no triple fault
  loadIdt();
  fpuStart();
  assert(info.magic === PVH_MAGIC, cstr("boot: no PVH start info"), u64(info.magic));
  banner();

  // ---- memory
  takeCommandLine(info); //                 before its page may be given away
  clockStart(parameters.epochSeconds);
  takeMemory(info);
  if (!kernelMapStart()) refuseBoot(cstr("no memory for the kernel's page tables, MB"), ramBytes() / MEGABYTE); // W^X, devices: the APICs need it
  protectionStart(); //                     SMEP, SMAP, UMIP: the boot tables are gone
  cpuAt(0).online = 1;

  // ---- interrupts
  lapicStart();
  ioapicStart(); //                         every pin masked until a driver routes it
  crossCallStart();
  timerStart();
  registerInterrupt(Vector.LAPIC_ERROR, lapicErrorInterrupt, 0);

  // ---- system calls of the kernel proper
  syscallStart();
  processCallsStart();
  timeCallsStart();
  memoryCallsStart();
  threadCallsStart();
  cloneCallsStart();
  futexCallsStart();
  identityCallsStart();
  scheduleCallsStart();
  limitCallsStart();
  signalCallsStart();
  intervalCallsStart();
  upcallCallsStart();
  margayCallsStart();

  // ---- the other cores
  startProcessors();

  // ---- drivers and what stands on them; they register interrupts, operations and system calls
  crc32cStart();
  uartStart();
  keyboardStart();
  netProbe();
  ioStart();
  fileCallsStart();
  fileMappingsStart();
  portalsStart(childLoaded, probeNeighbours);
  loadStart();
  exitStart();
  jobSignalsStart();
  statusStart();
  coreReportsStart();
  debugStart();
  closeSyscalls(); //                       nothing can register any more

  // ---- the node is what it is: open the network, say so
  describeNode();
  messagesStart(personality.nid, personality.nodes, peerLost); // the first frame may come now
  sayReady();
  armFaults();
}

function banner(): void {
  const t = consoleLine();
  print(t, cstr("margay: light-weight kernel for x86-64"));
  endLine(t);
}

function takeCommandLine(info: ptr<PvhStartInfo>): void {
  if (info.commandLineAddress === 0) return;
  const from = physical<u8>(info.commandLineAddress);
  memcpy(addr(commandLine[0]), from, stringLengthMax(from, COMMAND_LINE_MAX));
  parseParameters(addr(commandLine[0]));
  failAllocation(parameters.failBootAllocation, parameters.failLasting !== 0);
  if (parameters.tlbIpiOff !== 0) disableShootdownIpis();
}

function takeMemory(info: ptr<PvhStartInfo>): void {
  if (info.memoryMapAddress === 0 || info.memoryMapEntries === 0) fatal(cstr("boot: no memory map"), 0);
  if (info.moduleCount > 0)
    memcpy(cast<ptr<u8>>(addr(modules)), physical<u8>(info.modulesAddress), sizeof<PvhModule>());
  framesStart(physical<PvhMemory>(info.memoryMapAddress), info.memoryMapEntries, imageEndPhysical());
  if (ramBytes() < MIN_RAM_BYTES) refuseBoot(cstr("too little memory, MB"), ramBytes() / MEGABYTE);
  if (modules.lengthBytes !== 0) reserveFrames(modules.address, modules.lengthBytes, OWNER_RESERVED);
  const t = consoleLine();
  print(t, cstr("margay: memory "));
  printDecimal(t, ramBytes() / MEGABYTE);
  print(t, cstr(" MB"));
  endLine(t);
}

/** fw_cfg: the number of processors, little-endian. */
function readCpuCount(): u32 {
  portWrite16(FW_CFG_SELECTOR, FwCfgKey.CPU_COUNT);
  const low: u32 = portRead8(FW_CFG_DATA);
  const high: u32 = portRead8(FW_CFG_DATA);
  const total: u32 = low | (high << 8);
  if (total === 0) return 1;
  return total > MAX_CPUS ? MAX_CPUS : total;
}

function startProcessors(): void {
  assert(lapicId() === 0, cstr("boot: the first processor is not APIC id 0"), u64(lapicId()));
  const total: u32 = readCpuCount();
  for (let cpu: u32 = 1; cpu < total; cpu++) {
    const stack: u64 = processorStack();
    if (stack === 0) {
      const left = consoleLine();
      print(left, cstr("margay: no memory for more processors, left out: "));
      printDecimal(left, u64(total - cpu));
      endLine(left);
      break;
    }
    if (!startProcessor(cpu, stack, startCpu)) fatal(cstr("boot: processor does not start"), u64(cpu));
    setCpuCount(cpu + 1);
  }
  const t = consoleLine();
  print(t, cstr("margay: processors "));
  printDecimal(t, u64(cpuCount()));
  endLine(t);
}

/**
 * An application processor, in the upper half, on the boot page tables and its own stack; its stacks for NMI and double
 * fault lie below that.
 */
function startCpu(cpu: u64, stackTop: u64): never {
  attr({ inline: "never" });
  kernelMapEnter();
  protectionStart();
  enterPerCpu(u32(cpu), stackTop);
  loadGdt(u32(cpu), stackTop, stackTop - KERNEL_STACK_BYTES - 2 * IST_STACK_BYTES);
  loadIdt();
  fpuStart();
  lapicStart();
  syscallStart();
  atomicStore(addr(cpuAt(u32(cpu)).online), 1);
  enterIdle();
  unreachable();
}

function describeNode(): void {
  personality.nid = netPresent() ? netNid() : 0;
  personality.cores = cpuCount();
  personality.memoryBytes = ramBytes();
  personality.x = parameters.x;
  personality.y = parameters.y;
  personality.z = parameters.z;
  personality.nodes = parameters.nodes;
}

/** Sends READY to the service node, once, without waiting for an answer. Then prints the last line of the boot. */
function sayReady(): void {
  if (netPresent()) {
    const flags: u64 = lock(addr(netLock));
    const m = allocateKernelMessage();
    m.header.operation = Operation.READY;
    m.header.sourcePid = KERNEL_PID;
    m.header.targetNid = SERVICE_NID;
    m.header.targetPid = SERVICE_PID;
    m.header.totalBytes = u32(sizeof<Personality>());
    setPrefix(m, cast<ptr<u8>>(addr(personality)), sizeof<Personality>());
    sendMessage(m);
    releaseNet(flags);
  }
  const t = consoleLine();
  print(t, cstr("margay: ready nid="));
  printDecimal(t, u64(personality.nid));
  print(t, cstr(" cpus="));
  printDecimal(t, u64(personality.cores));
  print(t, cstr(" mem="));
  printDecimal(t, ramBytes() / MEGABYTE);
  print(t, netPresent() ? cstr(" net=up") : cstr(" net=none"));
  endLine(t);
}

/** Arms faults that the command line requests, from the ready line on. */
function armFaults(): void {
  failAllocation(parameters.failAllocation, parameters.failLasting !== 0);
  if (parameters.panicInInterrupt !== 0) divertDeviceInterrupts(panicInInterrupt);
  if (parameters.touchInInterrupt !== 0) registerInterrupt(IRQ_VECTOR_BASE + UART_GSI, touchInInterrupt, 0);
}
function panicInInterrupt(vector: u32, _device: u64): void {
  fatal(cstr("asked for by panic=irq"), u64(vector));
}
/** Reads the stack of the program that it interrupted, which no handler may do. */
function touchInInterrupt(_vector: u32, _device: u64): void {
  const frame = interruptedFrame();
  if (frame !== null && fromUser(frame)) volatileRead(cast<ptr<u64>>(frame.rsp));
}

/** A node has not answered for too long: reports it to one waiter. False: no waiter is left. */
function peerLost(nid: u32): boolean {
  if (pendingLost(nid)) return true;
  ioLost(nid);
  exitLost(nid);
  return false;
}

function lapicErrorInterrupt(_vector: u32, _device: u64): void {
  const error: u32 = lapicError();
  if (error !== 0) fatal(cstr("lapic: error"), u64(error));
}
