/** Serves a target on a socket and runs a real gdb with a script. */
import { spawn, spawnSync } from "node:child_process";
import { Stub } from "../../emulator/gdb/stub.ts";
import type { Target } from "../../emulator/gdb/target.ts";
import { Transport } from "../../emulator/gdb/transport.ts";

let version: number | undefined | "unknown" = "unknown";
/** Version of the installed gdb; undefined: none. */
export function gdbVersion(): number | undefined {
  if (version !== "unknown") return version;
  const { stdout, error } = spawnSync("gdb", ["--version"], { encoding: "utf8" });
  version = error === undefined ? Number(/(\d+)\.\d+/.exec(stdout)?.[1]) : undefined;
  return version;
}

/** Serves `target` until the debugger disconnects. Every byte passes through `tap`. */
export async function serve(
  target: Target,
  address: { port: number } | { path: string },
  closed: () => void,
): Promise<Transport> {
  let transport!: Transport;
  let scheduled = false;
  const stub = new Stub(target, { send: (bytes) => transport.send(bytes), kill: closed });
  const run = (): void => {
    scheduled = false;
    if (!stub.running) return;
    if (stub.advance(1000) === "end") stub.finished(0);
    else schedule();
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(run);
  };
  transport = await Transport.listen(address, {
    connected: () => stub.connected(),
    received: (bytes) => {
      stub.receive(bytes);
      if (stub.running) schedule();
    },
    closed: () => {
      stub.disconnected();
      closed();
    },
  });
  return transport;
}

/** Runs `gdb -batch` with these commands. Resolves with its whole output. */
export async function gdb(commands: readonly string[], timeoutMs = 150_000): Promise<string> {
  const args = [
    "-nx",
    "-batch",
    ...["set confirm off", "set pagination off", "set width 0", "set sysroot", ...commands].flatMap((c) => ["-ex", c]),
  ];
  const child = spawn("gdb", args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  await new Promise((resolve) => child.on("close", resolve));
  return text;
}
