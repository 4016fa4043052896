/**
 * The stub's transport: one debugger at a time on a TCP port of this host or a Unix socket. Only this file uses
 * sockets. A second debugger waits for a moment, because the first one may have left already and its end may not have
 * been read yet. Then it is told why it is refused, in a form that gdb shows: an error in reply to its first packet.
 */
import fs from "node:fs";
import net from "node:net";
import { frame, PacketReader } from "./framing.ts";

export type Address = { readonly port: number } | { readonly path: string };

/** Callbacks of the transport. */
export interface Peer {
  connected(): void;
  received(bytes: Uint8Array): void;
  closed(): void;
}

const REFUSAL = "E.margay: another debugger is connected: one at a time";
/** Shorter than gdb's own timeout for a reply (`show remotetimeout`: 2 s). */
const TURN_MS = 1000;
/** A silent peer is disconnected after this time. */
const REFUSAL_MS = 2000;
function refuse(socket: net.Socket): void {
  const reader = new PacketReader();
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS);
  timer.unref();
  socket.on("close", () => clearTimeout(timer));
  socket.on("data", (bytes) => {
    for (const received of reader.read(bytes)) {
      if (received.kind !== "packet") continue;
      socket.end(Buffer.concat([Buffer.from("+"), frame(REFUSAL)]));
      return;
    }
  });
}

const LOCAL = "127.0.0.1";

export class Transport {
  private socket: net.Socket | undefined;
  /** Debuggers that wait for their turn, oldest first. Nothing is read from them yet. */
  private readonly waiting = new Set<net.Socket>();

  private constructor(
    private readonly server: net.Server,
    readonly address: Address,
    private readonly peer: Peer,
  ) {
    server.on("connection", (socket) => this.accept(socket));
  }

  /** Rejects with node's error (EADDRINUSE, EACCES, ENOENT). Port 0: any. */
  static async listen(address: Address, peer: Peer): Promise<Transport> {
    const server = net.createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen("port" in address ? { port: address.port, host: LOCAL } : { path: address.path }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    return new Transport(server, address, peer);
  }

  /** In the form that gdb's `target remote` takes. */
  get name(): string {
    const bound = this.server.address();
    return "path" in this.address
      ? this.address.path
      : `:${typeof bound === "object" && bound !== null ? bound.port : this.address.port}`;
  }

  send(bytes: Uint8Array): void {
    if (this.socket?.writable) this.socket.write(bytes);
  }

  /** Sends pending output, then closes everything; a Unix socket is removed. */
  async close(): Promise<void> {
    const { socket } = this;
    for (const other of this.waiting) other.destroy();
    if (socket !== undefined) {
      await new Promise<void>((resolve) => {
        socket.once("close", resolve);
        socket.end();
        // A peer that does not close its half would keep us waiting for ever.
        socket.on("data", () => socket.destroy());
        setTimeout(() => socket.destroy(), 500).unref();
      });
    }
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    this.remove();
  }

  /** Like `close`, but at once. */
  remove(): void {
    this.socket?.destroy();
    for (const socket of this.waiting) socket.destroy();
    this.server.close();
    if ("path" in this.address) fs.rmSync(this.address.path, { force: true });
  }

  private accept(socket: net.Socket): void {
    // An error comes before its close.
    socket.on("error", () => {});
    if (this.socket === undefined) this.serve(socket);
    else this.queue(socket);
  }

  private queue(socket: net.Socket): void {
    this.waiting.add(socket);
    const timer = setTimeout(() => {
      // Timers come before input in a turn of node's loop: the end of the first debugger may be in that input.
      setImmediate(() => {
        if (this.waiting.delete(socket)) refuse(socket);
      });
    }, TURN_MS);
    socket.on("close", () => {
      clearTimeout(timer);
      this.waiting.delete(socket);
    });
  }

  private serve(socket: net.Socket): void {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => {
      if (this.socket === socket) this.peer.received(bytes);
    });
    socket.on("close", () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.peer.closed();
      const [next] = this.waiting;
      if (next === undefined) return;
      this.waiting.delete(next);
      this.serve(next);
    });
    this.peer.connected();
  }
}
