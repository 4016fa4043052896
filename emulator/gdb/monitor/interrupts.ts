/**
 * Interrupt controllers and the IDT. Source: Intel SDM vol. 3, 6.14.1 (gates), chapter 11 (LAPIC), 82093AA (I/O APIC).
 */
import { IOAPIC_PINS, Redirection } from "../../abi/ioapic.ts";
import { Icr, IcrNames, Lvt } from "../../abi/lapic.ts";
import { vectorName } from "../../trace/decode.ts";
import {
  address,
  chosenCores,
  columns,
  hex,
  type MonitorCommand,
  type MonitorContext,
  parseNumber,
} from "./command.ts";
import { readU64 } from "./paging.ts";

/** The results of LocalApic.state and IoApic.state. */
interface LapicState {
  readonly irr: readonly number[];
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
  readonly lvt: readonly number[];
  readonly tpr: number;
  readonly ldr: number;
  readonly svr: number;
  readonly esr: number;
  readonly icrLow: number;
  readonly icrHigh: number;
  readonly timerInitial: number;
  readonly timerNext: number | null;
}
interface IoapicState {
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly level: readonly number[];
}

const lvtNames = ["timer", "thermal", "counters", "lint0", "lint1", "error"] as const;
const modeName = (mode: number): string => IcrNames.get(mode) ?? hex(mode);

/** Vectors of a 256-bit map, highest first. */
function vectors(map: readonly number[]): string {
  const set: string[] = [];
  for (let v = 255; v >= 0; v--) if (((map[v >> 5]! >>> (v & 31)) & 1) !== 0) set.push(`${hex(v, 2)} ${vectorName(v)}`);
  return set.length === 0 ? "-" : set.join(", ");
}

/** For STARTUP the vector field is a page; for INIT and NMI it has no meaning. */
function commandText(low: number): string {
  const mode = low & Icr.DELIVERY_MASK;
  const field = low & 0xff;
  if (mode === Icr.STARTUP) return `${modeName(mode)} page ${hex(field, 2)}`;
  return mode === Icr.FIXED || mode === Icr.LOWEST ? `${modeName(mode)} ${vectorName(field)}` : modeName(mode);
}

function lapic(c: MonitorContext): readonly string[] {
  return chosenCores(c).flatMap(({ nid, core }) => {
    const device = c.view.control.machine.node(nid)!.board.lapics[core]!;
    const s = device.state() as LapicState;
    const shorthand = s.icrLow & Icr.SHORTHAND_MASK;
    const to = shorthand === 0 ? `destination ${hex(s.icrHigh >>> 24)}` : modeName(shorthand);
    return [
      `n${nid}.c${core}: ${device.enabled ? "enabled" : "disabled"}, spurious vector ${hex(s.svr & 0xff)}, TPR ${hex(s.tpr, 2)}, PPR ${hex(device.processorPriority, 2)}, LDR ${hex(s.ldr, 8)}, ESR ${hex(s.esr)}`,
      `  in service  ${vectors(s.isr)}`,
      `  requested   ${vectors(s.irr)}`,
      `  level       ${vectors(s.tmr)}`,
      `  last ICR    ${s.icrLow === 0 && s.icrHigh === 0 ? "-" : `${commandText(s.icrLow)} to ${to}`}`,
      `  timer       initial ${s.timerInitial}, ${s.timerNext === null ? "not running" : `interrupts at ${s.timerNext} ns`}`,
      `  LVT         ${s.lvt.map((entry, i) => `${lvtNames[i]} ${(entry & Lvt.MASKED) !== 0 ? "masked" : vectorName(entry & 0xff)}`).join(", ")}`,
    ];
  });
}

function ioapic({ id, view }: MonitorContext): readonly string[] {
  const s = view.control.machine.node(id.nid)!.board.ioapic.state() as IoapicState;
  const rows: string[][] = [["pin", "vector", "mode", "trigger", "to", "line", "state"]];
  let masked = 0;
  for (let pin = 0; pin < IOAPIC_PINS; pin++) {
    const low = s.low[pin]!;
    const isMasked = (low & Redirection.MASKED) !== 0;
    if (isMasked && s.level[pin] === 0) {
      masked++;
      continue;
    }
    rows.push([
      String(pin),
      vectorName(low & 0xff),
      modeName(low & Icr.DELIVERY_MASK),
      (low & Redirection.LEVEL) !== 0 ? "level" : "edge",
      `${(low & Redirection.LOGICAL) !== 0 ? "logical " : "core "}${s.high[pin]! >>> 24}`,
      s.level[pin] === 0 ? "low" : "high",
      isMasked ? "masked" : (low & Redirection.REMOTE_IRR) !== 0 ? "waits for EOI" : "",
    ]);
  }
  return [...columns(rows), `${masked} pins masked and low`];
}

interface Gate {
  readonly text: string;
  readonly present: boolean;
}
function gate(c: MonitorContext, vector: number): Gate {
  const { control } = c.view;
  const core = control.core(c.id.nid, c.id.core);
  const at = core.register("idtr_base") + BigInt(16 * vector);
  const low = readU64(c, at);
  const high = readU64(c, at + 8n);
  if (low === undefined || high === undefined || 16 * vector + 15 > Number(core.register("idtr_limit")))
    return { text: "beyond the table", present: false };
  const present = (low >> 47n) & 1n;
  if (present === 0n) return { text: "not present", present: false };
  const target = (low & 0xffffn) | ((low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
  const type = Number((low >> 40n) & 0xfn);
  const name = c.view.functionAt(c.id, target) ?? address(target);
  return {
    present: true,
    text: `${type === 14 ? "interrupt" : type === 15 ? "trap" : `type ${type}`} gate, DPL ${(low >> 45n) & 3n}, IST ${(low >> 32n) & 7n}, ${hex((low >> 16n) & 0xffffn)}:${name}`,
  };
}

function idt(c: MonitorContext): readonly string[] {
  if (c.words[0] !== undefined) {
    const vector = parseNumber(c.words[0], "vector", 255);
    return [`${hex(vector, 2)} ${vectorName(vector)}: ${gate(c, vector).text}`];
  }
  const rows: string[][] = [];
  // Adjacent gates that differ only in the entry within a function form one row.
  for (let first = 0; first < 256; ) {
    const { text } = gate(c, first);
    let last = first;
    while (last < 255 && gate(c, last + 1).text === text) last++;
    const name = (v: number): string => `${hex(v, 2)} ${vectorName(v)}`;
    rows.push([first === last ? name(first) : `${name(first)} … ${name(last)}`, text]);
    first = last + 1;
  }
  return columns(rows);
}

export const interruptCommands: readonly MonitorCommand[] = [
  {
    name: "lapic",
    usage: "lapic [CORE]",
    help: "local APICs: in service, requested, last ICR, timer, LVT",
    run: lapic,
  },
  { name: "ioapic", usage: "ioapic", help: "the I/O APIC's redirection entries and lines", run: ioapic },
  { name: "idt", usage: "idt [VECTOR]", help: "the core's interrupt descriptor table", run: idt },
];
