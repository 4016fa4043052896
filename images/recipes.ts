/**
 * The images of this package: their sources and layouts, one row per image. `margay build NAME` builds one, `margay
 * build` all.
 */
import type { Layout } from "../toolchain/link/object.ts";
import { KERNEL_BASE, KERNEL_LOAD } from "../emulator/abi/memory.ts";
import { INIT_BASE } from "../emulator/abi/memory.ts";

export interface Recipe {
  readonly name: string;
  /** One line for `margay build --help` and error messages. */
  readonly what: string;
  /** Source files from which the compiler starts, relative to the package. */
  readonly roots: readonly string[];
  readonly layout: Layout;
  /** Output, relative to images/out. Flat images have a companion ELF with symbols. */
  readonly output: string;
  readonly elf?: string;
}

/** The usual address of static programs on Linux. */
const PROGRAM_ADDRESS = 0x40_0000n;
const program = (name: string, what: string): Recipe => ({
  name,
  what,
  roots: [`userland/jobs/${name}.ts`],
  layout: { kind: "program", entry: "_start", base: 0n, address: PROGRAM_ADDRESS },
  output: `bin/${name}`,
});

export const recipes: readonly Recipe[] = [
  {
    name: "kernel",
    what: "the light-weight kernel (PVH ELF64)",
    roots: ["kernel/boot/pvh.ts"],
    layout: { kind: "kernel", entry: "pvh_entry", base: KERNEL_BASE, address: KERNEL_BASE + BigInt(KERNEL_LOAD) },
    output: "kernel.elf",
  },
  {
    name: "init",
    what: "the user-level job loader (flat image that the service node PUTs)",
    roots: ["userland/init/main.ts"],
    layout: { kind: "flat", entry: "init_entry", base: 0n, address: BigInt(INIT_BASE) },
    output: "init.bin",
    elf: "init.elf",
  },
  program("hello", "prints rank, nid and core"),
  program("ring", "a token by PUT round all ranks; prints the mean hop"),
  program("nullderef", "writes through a null pointer, to show a core report"),
  program("files", "writes, reads back and checks files through the I/O node"),
  program("shootdown", "replaces pages under readers on other cores; counts stale reads"),
];
