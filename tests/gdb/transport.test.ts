/** The transport: one debugger at a time; debuggers connect and disconnect at any time. */
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { frame } from "../../emulator/gdb/framing.ts";
import { temporaryFolder } from "../system/command.ts";
import { serve } from "./serve.ts";
import { ToyTarget } from "./toy.ts";

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const LOOP = [0x90, 0x01, 0x02, 0xeb, 0xfb];

/** A peer that stores what it receives. */
class Peer {
  text = "";
  closed = false;
  private waiting: (() => void)[] = [];
  constructor(readonly socket: net.Socket) {
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => {
      this.text += piece;
      this.news();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.news();
    });
  }
  private news(): void {
    for (const waiting of this.waiting.splice(0)) waiting();
  }
  async until(what: () => boolean): Promise<void> {
    while (!what()) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
  async ask(payload: string, reply: RegExp): Promise<void> {
    this.text = "";
    this.socket.write(frame(payload));
    await this.until(() => reply.test(this.text) || this.closed);
    expect(this.text).toMatch(reply);
  }
}
const connect = (to: { port: number } | { path: string }): Promise<Peer> =>
  new Promise((resolve) => {
    const socket = net.connect("port" in to ? { port: to.port, host: "127.0.0.1" } : { path: to.path }, () =>
      resolve(new Peer(socket)),
    );
  });

it("a second debugger is turned away, and welcome when the first has gone", async () => {
  const socket = path.join(folder, "one");
  const server = await serve(new ToyTarget(1, 1, LOOP), { path: socket }, () => {});
  const first = await connect({ path: socket });
  await first.ask("?", /T05thread/);
  const second = await connect({ path: socket });
  second.socket.write(frame("?"));
  await second.until(() => second.closed);
  expect(second.text).toContain("E.margay: another debugger is connected");
  await first.ask("qC", /QC1/);
  // It connects before the server has read that the first one has gone.
  const third = await connect({ path: socket });
  third.socket.write(frame("?"));
  first.socket.destroy();
  await third.until(() => third.closed || third.text.includes("T05thread"));
  expect(third.closed).toBe(false);
  expect(fs.existsSync(socket)).toBe(true);
  third.socket.end();
  await server.close();
  expect(fs.existsSync(socket)).toBe(false);
});

it("Ctrl-C stops what runs; closing in the middle of a packet harms nobody", async () => {
  const target = new ToyTarget(1, 1, LOOP);
  const server = await serve(target, { port: 0 }, () => {});
  const port = Number(server.name.slice(1));
  for (let i = 0; i < 20; i++) {
    const peer = await connect({ port });
    peer.socket.write(Buffer.concat([Buffer.from("garbage$m10"), frame("?")]));
    await peer.until(() => peer.text.includes("T0") || peer.closed);
    if (peer.closed) continue;
    peer.text = "";
    peer.socket.write(frame("vCont;c"));
    peer.socket.write(Buffer.from([3]));
    await peer.until(() => /T02thread/.test(peer.text));
    peer.socket.write("$m1000,");
    peer.socket.resetAndDestroy();
  }
  expect(target.changes).toBeGreaterThan(0);
  await server.close();
});
