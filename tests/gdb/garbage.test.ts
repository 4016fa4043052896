/**
 * Garbage on the socket neither breaks the stub nor changes what it debugs. The seed is fixed; GDB_SEED=… tries
 * another.
 */
import { describe, expect, it } from "vitest";
import { frame } from "../../emulator/gdb/framing.ts";
import { Client } from "./client.ts";
import { Garbage, writers } from "./garbage.ts";
import { ToyTarget } from "./toy.ts";

const SEED = Number(process.env["GDB_SEED"] ?? 1);
const PACKETS = 100_000;
const LOOP = [0x90, 0x01, 0x02, 0xeb, 0xfb];

const where = (i: number): string => `packet ${i}: GDB_SEED=${SEED} npx vitest run tests/gdb/garbage`;

describe("garbage", () => {
  it(`${PACKETS} random packets: each gets one answer, and only a well-formed write changes anything`, () => {
    const garbage = new Garbage(SEED);
    const target = new ToyTarget(2, 2, LOOP);
    const client = new Client(target).greet();
    let before = target.changes;
    let changed = 0;
    for (let i = 0; i < PACKETS; i++) {
      const payload = garbage.payload();
      const reply = client.ask(payload);
      if (client.stub.running) {
        expect(payload, where(i)).toMatch(writers);
        client.stub.receive(Buffer.from([3]));
        expect(client.stub.advance(1), where(i)).toBe("stopped");
      } else if (client.received.length !== 1 && !/^(?:qRcmd,|k)/.test(payload))
        expect.fail(`${client.received.length} answers to ${where(i)}`);
      const after = target.changes;
      if (after !== before) {
        expect(payload, where(i)).toMatch(writers);
        if (/^[MXGP]/.test(payload)) expect(reply, where(i)).toBe("OK");
        changed++;
      }
      before = after;
    }
    // The generator does get packets past the stub's checks.
    expect(changed).toBeGreaterThan(0);
    expect(client.ask("qSupported:multiprocess+")).toContain("PacketSize");
  });

  it("noise between packets changes nothing, and the next packet is understood", () => {
    const garbage = new Garbage(SEED + 1);
    const target = new ToyTarget(2, 2, LOOP);
    const client = new Client(target);
    const before = target.changes;
    for (let i = 0; i < 20_000; i++) {
      client.stub.receive(garbage.noise());
      expect(client.stub.running, where(i)).toBe(false);
      if (i % 100 !== 0) continue;
      client.received.length = 0;
      client.stub.receive(frame("qC"));
      expect(client.received.slice(-2), where(i)).toEqual(["ack", "QC1"]);
    }
    expect(target.changes).toBe(before);
  });

  it("a peer that comes and goes in the middle of packets leaves nothing behind", () => {
    const garbage = new Garbage(SEED + 2);
    const client = new Client(new ToyTarget(1, 1, LOOP));
    for (let i = 0; i < 2000; i++) {
      const bytes = frame(garbage.payload());
      client.stub.receive(bytes.subarray(0, garbage.below(bytes.length)));
      client.stub.disconnected();
      client.stub.connected();
      client.received.length = 0;
      client.stub.receive(frame("?"));
      expect(client.received[0], where(i)).toBe("ack");
      expect(client.received[1], where(i)).toMatch(/^T/);
    }
  });
});
