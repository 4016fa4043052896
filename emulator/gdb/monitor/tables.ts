/** The GDT. Source: Intel SDM vol. 3, 3.4.5 (descriptors), 7.2.3 (TSS descriptor in long mode). */
import { SelectorNames } from "../../abi/x86.ts";
import { decodeDescriptor, descriptorDpl, isCode, isPresent, SegmentFlag } from "../../cpu/x86/descriptors.ts";
import { columns, hex, type MonitorCommand, type MonitorContext } from "./command.ts";
import { readU64 } from "./paging.ts";

const MOST_ENTRIES = 64;

function gdt(c: MonitorContext): readonly string[] {
  const core = c.view.control.core(c.id.nid, c.id.core);
  const base = core.register("gdtr_base");
  const limit = Number(core.register("gdtr_limit"));
  const loaded = new Map(
    ["cs", "ss", "ds", "es", "fs", "gs", "tr"].map((name) => [name, Number(core.register(name)) & ~7]),
  );
  const rows: string[][] = [];
  for (let selector = 0; selector + 7 <= limit && selector < 8 * MOST_ENTRIES; ) {
    const value = readU64(c, base + BigInt(selector));
    if (value === undefined) return [...columns(rows), `no memory at ${hex(base + BigInt(selector))}`];
    const { base: low, limit: bytes, flags } = decodeDescriptor(value);
    const isSystem = (flags & SegmentFlag.NON_SYSTEM) === 0;
    const wide = isSystem && isPresent(flags);
    const segmentBase = wide ? low | ((readU64(c, base + BigInt(selector + 8)) ?? 0n) << 32n) : low;
    const kind =
      value === 0n
        ? "null"
        : !isPresent(flags)
          ? "not present"
          : wide
            ? `system type ${(flags >>> 8) & 15}`
            : isCode(flags)
              ? `code${flags & SegmentFlag.LONG ? " 64" : " 32"}`
              : "data";
    const users = [...loaded].filter(([, s]) => s === selector && selector !== 0).map(([name]) => name);
    const name = [...SelectorNames].find(([s]) => (s & ~7) === selector)?.[1] ?? "";
    rows.push([
      hex(selector, 2),
      kind,
      value === 0n ? "" : `DPL ${descriptorDpl(flags)}`,
      value === 0n ? "" : `base ${hex(segmentBase)} limit ${hex(bytes)}`,
      [name, users.length > 0 ? `in ${users.join(", ")}` : ""].filter(Boolean).join(" "),
    ]);
    selector += wide ? 16 : 8;
  }
  return [`n${c.id.nid}.c${c.id.core}: GDT at ${hex(base)}, limit ${hex(limit)}`, ...columns(rows)];
}

export const tableCommands: readonly MonitorCommand[] = [
  { name: "gdt", usage: "gdt", help: "the core's global descriptor table", run: gdt },
];
