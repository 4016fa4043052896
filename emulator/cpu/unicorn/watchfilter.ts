/**
 * Watched pages in Unicorn's TLB. QEMU marks the TLB entries of pages with watchpoints, so that only accesses to these
 * pages leave the fast path and are checked before they are made. Unicorn has kept this mechanism, but disabled the two
 * functions that decide: `cpu_watchpoint_address_matches` (which accesses to this page, called at each TLB fill) and
 * `cpu_check_watchpoint` (an access to a marked page). Both are interposed by the few instructions below, since a call
 * into JavaScript costs ten times as much as the access. The first returns a word that the fill has written; the second
 * calls us only if the offsets in the page match.
 */
import { type Address, binding, viewMemory } from "./binding.ts";
import { interposeAddress } from "./got.ts";

/** cpu_check_watchpoint(rdi: cpu, rsi: address, rdx: length, ecx: attributes, r8d: flags, r9: return address). */
// biome-ignore format: one instruction a line
const CHECK = [
  0x89, 0xf0,                               // mov eax, esi
  0x25, 0xff, 0x0f, 0x00, 0x00,             // and eax, 0xfff
  0x4c, 0x8d, 0x1c, 0x10,                   // lea r11, [rax + rdx]
  0x4c, 0x8d, 0x15, 0xee, 0x00, 0x00, 0x00, // lea r10, [TABLE]
  0x41, 0x8b, 0x4a, 0x04,                   // next: mov ecx, [r10 + 4]   the end of a range; 0 ends the table
  0x85, 0xc9,                               // test ecx, ecx
  0x74, 0x15,                               // jz done
  0x39, 0xc8,                               // cmp eax, ecx
  0x73, 0x05,                               // jae skip
  0x45, 0x3b, 0x1a,                         // cmp r11d, [r10]            its first byte
  0x77, 0x06,                               // ja hit
  0x49, 0x83, 0xc2, 0x08,                   // skip: add r10, 8
  0xeb, 0xe9,                               // jmp next
  0xff, 0x25, 0x51, 0x00, 0x00, 0x00,       // hit: jmp [CALLBACK]
  0xc3,                                     // done: ret
];
/** cpu_watchpoint_address_matches. */
// biome-ignore format: one instruction a line
const MATCHES = [
  0x8b, 0x05, 0x42, 0x00, 0x00, 0x00,       // mov eax, [KINDS]
  0xc3,                                     // ret
];
const MATCHES_AT = 0x40;
const CALLBACK_AT = 0x80;
const KINDS_AT = 0x88;
const TABLE_AT = 0x100;
const BYTES = 0x1000;
const ROWS = (BYTES - TABLE_AT) / 8 - 1;
const WHOLE_PAGE = [0, 0x1000] as const;

type Range = readonly [first: number, end: number];

class WatchFilter {
  private readonly view: DataView;
  private readonly ranges = new Map<object, readonly Range[]>();

  constructor(private readonly address: Address) {
    this.view = new DataView(viewMemory(address, BYTES));
    const bytes = new Uint8Array(this.view.buffer);
    bytes.set(CHECK, 0);
    bytes.set(MATCHES, MATCHES_AT);
  }

  /** `callback`: a C function with the parameters of `cpu_check_watchpoint`. */
  interpose(callback: Address): void {
    this.view.setBigUint64(CALLBACK_AT, BigInt(callback), true);
    interposeAddress("cpu_check_watchpoint_x86_64", this.address);
    interposeAddress("cpu_watchpoint_address_matches_x86_64", this.address + MATCHES_AT);
  }

  /** Accesses of these kinds (WATCH_ bits) to the page being filled must be checked. */
  set kinds(kinds: number) {
    this.view.setUint32(KINDS_AT, kinds, true);
  }

  /**
   * Offsets in a page at which `owner` wants to see accesses. All engines share one table, so an engine may see more
   * accesses than it asked for.
   */
  publish(owner: object, ranges: readonly Range[]): void {
    if (ranges.length > 0) this.ranges.set(owner, ranges);
    else this.ranges.delete(owner);
    let rows: readonly Range[] = [...this.ranges.values()].flat();
    if (rows.length > ROWS) rows = [WHOLE_PAGE];
    rows.forEach(([first, end], row) => {
      this.view.setUint32(TABLE_AT + row * 8, first, true);
      this.view.setUint32(TABLE_AT + row * 8 + 4, end, true);
    });
    this.view.setBigUint64(TABLE_AT + rows.length * 8, 0n, true);
  }
}

let filter: WatchFilter | undefined;
/** One per process. */
export function watchFilter(): WatchFilter {
  filter ??= new WatchFilter(binding().allocateCode(BYTES));
  return filter;
}
