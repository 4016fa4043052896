/** Page tables, and TLB entries that differ from them. Source: Intel SDM vol. 3, 4.5 (4-level paging). */
import { Cr0, PTE_NX, Pte } from "../../abi/x86.ts";
import type { TlbEntry } from "../../cpu/engine.ts";
import {
  address,
  chosenCores,
  columns,
  hex,
  type MonitorCommand,
  type MonitorContext,
  parseAddress,
} from "./command.ts";
import type { CoreId } from "../target.ts";

/** 8 bytes at a virtual address of the core; undefined: not mapped. */
export function readU64({ view, id }: Pick<MonitorContext, "view" | "id">, at: bigint): bigint | undefined {
  const bytes = view.control.readMemory(id.nid, id.core, at, 8);
  return bytes.length < 8 ? undefined : Buffer.from(bytes).readBigUInt64LE();
}

interface Level {
  readonly name: string;
  readonly index: number;
  /** Physical address of the entry. */
  readonly at: number;
  readonly entry: bigint;
}
interface Walk {
  readonly levels: readonly Level[];
  /** undefined: not mapped. */
  readonly page:
    | {
        readonly physical: number;
        readonly bytes: number;
        readonly writable: boolean;
        readonly user: boolean;
        readonly executable: boolean;
        readonly global: boolean;
      }
    | undefined;
}

const levelNames = ["PML4E", "PDPTE", "PDE", "PTE"] as const;
const ADDRESS_MASK = 0xf_ffff_ffff_f000n;
const has = (entry: bigint, bit: number): boolean => (entry & BigInt(bit)) !== 0n;

/** The walk from the core's CR3, without side effects. */
export function walk(c: Pick<MonitorContext, "view">, { nid, core }: CoreId, virtual: bigint): Walk {
  const { control } = c.view;
  const levels: Level[] = [];
  let table = control.core(nid, core).register("cr3") & ADDRESS_MASK;
  let writable = true;
  let user = true;
  let executable = true;
  for (const [level, name] of levelNames.entries()) {
    const shift = 39 - 9 * level;
    const index = Number((virtual >> BigInt(shift)) & 511n);
    const at = Number(table) + 8 * index;
    const bytes = control.readPhysical(nid, at, 8);
    if (bytes.length < 8) return { levels, page: undefined };
    const entry = Buffer.from(bytes).readBigUInt64LE();
    levels.push({ name, index, at, entry });
    if (!has(entry, Pte.P)) return { levels, page: undefined };
    writable &&= has(entry, Pte.W);
    user &&= has(entry, Pte.U);
    executable &&= (entry & PTE_NX) === 0n;
    const isPage = level === 3 || (level > 0 && has(entry, Pte.PS));
    if (isPage) {
      const pageBytes = 2 ** shift;
      const physical = Number(entry & ADDRESS_MASK & ~BigInt(pageBytes - 1));
      return { levels, page: { physical, bytes: pageBytes, writable, user, executable, global: has(entry, Pte.G) } };
    }
    table = entry & ADDRESS_MASK;
  }
  return { levels, page: undefined };
}

const flagNames = [
  ["P", Pte.P],
  ["W", Pte.W],
  ["U", Pte.U],
  ["PWT", Pte.PWT],
  ["PCD", Pte.PCD],
  ["A", Pte.A],
  ["D", Pte.D],
  ["PS", Pte.PS],
  ["G", Pte.G],
] as const;
const flagsText = (entry: bigint): string =>
  [
    ...flagNames.filter(([, bit]) => has(entry, bit)).map(([name]) => name),
    ...((entry & PTE_NX) !== 0n ? ["NX"] : []),
  ].join(" ") || "-";
const sizeText = (bytes: number): string => (bytes >= 2 ** 30 ? "1 GB" : bytes >= 2 ** 20 ? "2 MB" : "4 KB");

function pt(c: MonitorContext): readonly string[] {
  const virtual = parseAddress(c.words[0], "pt");
  const core = c.view.control.core(c.id.nid, c.id.core);
  if ((core.register("cr0") & BigInt(Cr0.PG)) === 0n) return [`paging is off: physical ${hex(virtual)}`];
  const { levels, page } = walk(c, c.id, virtual);
  const rows = levels.map(({ name, index, at, entry }) => [
    `  ${name}[${index}]`,
    `at ${hex(at, 10)}`,
    hex(entry, 16),
    flagsText(entry),
  ]);
  const lines = [
    `${address(virtual)} by CR3 ${hex(core.register("cr3"))} of n${c.id.nid}.c${c.id.core}`,
    ...columns(rows),
  ];
  if (page === undefined) return [...lines, "not mapped"];
  const offset = Number(virtual & BigInt(page.bytes - 1));
  const rights = [
    page.writable ? "read, write" : "read only",
    page.executable ? "execute" : "no execute",
    page.user ? "user" : "supervisor",
  ];
  return [
    ...lines,
    `physical ${hex(page.physical + offset)} in a ${sizeText(page.bytes)} page: ${rights.join(", ")}${page.global ? ", global" : ""}`,
  ];
}

/** How a TLB entry differs from the present page tables; undefined: it does not. */
function stale(c: MonitorContext, id: CoreId, entry: TlbEntry): string | undefined {
  const { page } = walk(c, id, entry.virtual);
  if (page === undefined) return "not mapped any more";
  const offset = Number(entry.virtual & BigInt(page.bytes - 1));
  if (page.bytes >= entry.bytes ? page.physical + offset !== entry.physical : page.physical !== entry.physical)
    return `now physical ${hex(page.physical + offset)}`;
  if ((entry.permissions & 2) !== 0 && !page.writable) return "now read only";
  if ((entry.permissions & 4) !== 0 && !page.executable) return "now not executable";
  if (entry.user && !page.user) return "now supervisor";
  return undefined;
}

function tlb(c: MonitorContext): readonly string[] {
  const onlyStale = c.words.includes("stale");
  const cores = chosenCores({ ...c, words: c.words.filter((w) => w !== "stale") });
  return cores.flatMap((id) => {
    const entries = c.view.control.core(id.nid, id.core).save().tlb;
    const rows: string[][] = [];
    let staleCount = 0;
    for (const entry of entries) {
      const why = stale(c, id, entry);
      if (why !== undefined) staleCount++;
      if (onlyStale && why === undefined) continue;
      const rights = `r${entry.permissions & 2 ? "w" : "-"}${entry.permissions & 4 ? "x" : "-"}${entry.user ? "u" : "-"}${entry.global ? "g" : "-"}${entry.dirty ? "d" : "-"}`;
      const what = entry.bytes === 4096 ? (c.view.symboliser.nameOf(entry.virtual) ?? "") : "";
      rows.push([
        `  ${address(entry.virtual)}`,
        hex(entry.physical, 10),
        sizeText(entry.bytes),
        rights,
        why === undefined ? what : `STALE: ${why}`,
      ]);
    }
    return [
      `n${id.nid}.c${id.core}: ${entries.length} entries, ${staleCount} stale against the page tables`,
      ...columns(rows),
    ];
  });
}

export const pagingCommands: readonly MonitorCommand[] = [
  {
    name: "tlb",
    usage: "tlb [CORE] [stale]",
    help: "what TLBs hold, and which entries are stale against the page tables",
    run: tlb,
  },
  { name: "pt", usage: "pt ADDRESS", help: "the walk of the core's page tables for a virtual address", run: pt },
];
