/**
 * gdb's initial commands, and the file that they are in while the command runs: next to the socket, or for a TCP
 * port in a folder of its own, so that nobody else can have prepared it.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Transport } from "../gdb/transport.ts";
import { reasonOf, UserError } from "./errors.ts";
import { packageRoot } from "./package.ts";

/** Most nodes that a session attaches by itself; the user adds others by `add-inferior` and `attach NID`. */
const MOST_ATTACHED = 16;
/** Quotes a string for gdb's command language. Spaces need no quotes there, except in file names. */
const quoted = (file: string): string => (/[\s"'\\]/.test(file) ? `"${file.replace(/["\\]/g, "\\$&")}"` : file);

/**
 * gdb 13 parses a new condition for the selected inferior only, and fails on it in the others ("No frame is currently
 * executing in block"). It parses conditions again, for the selected inferior, when it looks for libraries. So the hook
 * makes it look for libraries once in each of the other inferiors. A breakpoint of the machine interface has no hook;
 * it is announced, and the other inferiors follow before gdb reads the next command. (In a script they would not.)
 */
const conditionHooks = [
  "if !$_isvoid($_memeq)",
  "python",
  "def margay_conditions():",
  "    here = gdb.selected_thread()",
  "    if here is None or here.is_running() or not any(b.condition for b in gdb.breakpoints()): return",
  "    frame = gdb.selected_frame()",
  "    for inferior in gdb.inferiors():",
  "        threads = inferior.threads()",
  "        if inferior.num == here.inferior.num or not threads: continue",
  "        threads[0].switch()",
  "        gdb.execute('set solib-search-path', to_string=True)",
  "    here.switch()",
  "    frame.select()",
  "margay_known = {}",
  "def margay_breakpoint(b):",
  "    if margay_known.get(b.number) == b.condition: return",
  "    margay_known[b.number] = b.condition",
  "    if b.condition: gdb.post_event(margay_conditions)",
  "gdb.events.breakpoint_created.connect(margay_breakpoint)",
  "gdb.events.breakpoint_modified.connect(margay_breakpoint)",
  "end",
  "end",
  ...["break", "tbreak", "hbreak", "thbreak", "condition"].flatMap((command) => [
    `define hookpost-${command}`,
    "if !$_isvoid($_memeq)",
    "python margay_conditions()",
    "end",
    "end",
  ]),
];

/** The limits of a read watchpoint are printed when it is set. */
export const readHooks = ["rwatch", "awatch"].flatMap((command) => [
  `define hookpost-${command}`,
  "echo It sees accesses to this virtual address only: not a system call that reads the program's memory through the kernel's direct map,\\n",
  "echo and not a device. 'monitor rwatch physical ADDRESS BYTES' sees the system call; 'monitor pt ADDRESS' tells the physical address.\\n",
  "end",
]);

/** gdb's initial commands: sources, all nodes as inferiors, all of them resumed together. */
export function gdbScript(
  name: string,
  files: readonly string[],
  nids: readonly number[],
  settings: readonly string[] = [],
): string {
  const kernel = quoted(files[0]!);
  const [, ...others] = nids.slice(0, MOST_ATTACHED);
  return [
    "# Read by gdb -x: margay's machine, its nodes as inferiors, their cores as threads.",
    "set sysroot",
    `directory ${packageRoot}`,
    "set schedule-multiple on",
    // A call that cannot be made, or does not return, leaves the program as it was.
    "set unwindonsignal on",
    // Seconds. A reply may take long on a busy host: a job's memory is read by messages, while the machine runs.
    "set remotetimeout 60",
    // After kill, `run` would start the kernel as a program of this host.
    "set auto-connect-native-target off",
    ...settings,
    ...(nids.length > 1 ? conditionHooks : []),
    "set print inferior-events off",
    `file ${kernel}`,
    `target extended-remote ${name}`,
    ...others.flatMap((nid, i) => [`add-inferior -exec ${kernel}`, `inferior ${i + 2}`, `attach ${nid}`]),
    ...(others.length > 0 ? ["inferior 1"] : []),
    "set print inferior-events on",
    "",
  ].join("\n");
}

/** A file that is written once, and gone after `remove`. */
export class ScriptFile {
  private constructor(
    readonly path: string,
    private readonly folder: string | undefined,
  ) {}

  /** @throws UserError if it cannot be written */
  static write({ address, name }: Transport, text: string): ScriptFile {
    let file = "port" in address ? os.tmpdir() : `${name}.gdb`;
    try {
      const folder = "port" in address ? fs.mkdtempSync(path.join(file, "margay-gdb-")) : undefined;
      if (folder !== undefined) file = path.join(folder, `${name.slice(1)}.gdb`);
      // What an ended command has left, or a link that is not ours: replaced, never written through.
      fs.rmSync(file, { force: true });
      fs.writeFileSync(file, text, { flag: "wx" });
      return new ScriptFile(file, folder);
    } catch (error) {
      throw new UserError(
        "cannot write gdb's script",
        `${file}: ${reasonOf(error)}`,
        "set TMPDIR, or give a socket elsewhere",
      );
    }
  }

  remove(): void {
    fs.rmSync(this.path, { force: true });
    if (this.folder !== undefined) fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
