/** The stub's door to the world: one debugger at a time on a TCP port of this host or a Unix socket. Only here are there sockets. */
import fs from "node:fs";
import net from "node:net";

export type Address = { readonly port: number } | { readonly path: string };

/** What the transport tells its owner. */
export interface Peer {
  connected(): void;
  received(bytes: Uint8Array): void;
  closed(): void;
}

const LOCAL = "127.0.0.1";

export class Transport {
  private socket: net.Socket | undefined;

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

  /** As gdb's `target remote` takes it. */
  get name(): string {
    const bound = this.server.address();
    return "path" in this.address
      ? this.address.path
      : `:${typeof bound === "object" && bound !== null ? bound.port : this.address.port}`;
  }

  send(bytes: Uint8Array): void {
    if (this.socket?.writable) this.socket.write(bytes);
  }

  /** What was sent goes out, then all is closed; a Unix socket is removed. */
  async close(): Promise<void> {
    const { socket } = this;
    if (socket !== undefined) {
      await new Promise<void>((resolve) => {
        socket.once("close", resolve);
        socket.end();
        // A peer that does not close its half would keep us for ever.
        socket.on("data", () => socket.destroy());
        setTimeout(() => socket.destroy(), 500).unref();
      });
    }
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    this.remove();
  }

  /** As `close`, at once. */
  remove(): void {
    this.socket?.destroy();
    this.server.close();
    if ("path" in this.address) fs.rmSync(this.address.path, { force: true });
  }

  private accept(socket: net.Socket): void {
    if (this.socket !== undefined) {
      socket.destroy();
      return;
    }
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => {
      if (this.socket === socket) this.peer.received(bytes);
    });
    // An error comes before its close.
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.peer.closed();
    });
    this.peer.connected();
  }
}
