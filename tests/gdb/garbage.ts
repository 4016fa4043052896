/**
 * Input that no debugger sends: random bytes, broken frames, and packets with a known beginning and a random rest. From
 * a seed.
 */
import { Prng } from "../../emulator/machine/prng.ts";
import { frame } from "../../emulator/gdb/framing.ts";
import { packetPrefixes } from "../../emulator/gdb/packets/table.ts";

/** Beginnings of packets that, if well formed, write registers or memory, resume the machine, or end it. */
export const writers = /^(?:[MXGP]|vCont;|[csCSD]|k$|vKill|vAttach)/;

export class Garbage {
  private readonly random: Prng;
  constructor(seed: number) {
    this.random = new Prng(seed);
  }

  below(n: number): number {
    return this.random.below(n);
  }

  /**
   * Payload of a packet: a known beginning, random numbers and separators, and sometimes a byte that does not belong
   * there.
   */
  payload(): string {
    const pieces = [packetPrefixes[this.below(packetPrefixes.length)]!];
    for (let i = this.below(8); i > 0; i--) {
      switch (this.below(9)) {
        case 0:
          pieces.push(this.hex(1 + this.below(20)));
          break;
        case 1:
          pieces.push([",", ";", ":", "=", ".", "-1", "p", "X", "read:"][this.below(9)]!);
          break;
        case 2:
          pieces.push(
            ["1000", "3000", "ffffffff80100000", "ffffffffffffffff", "7fffffffffff", "p1.1", "p2.2", "p-1.-1", "0"][
              this.below(9)
            ]!,
          );
          break;
        case 3:
          pieces.push(Buffer.from(Array.from({ length: this.below(40) }, () => this.below(256))).toString("latin1"));
          break;
        case 4:
          pieces.push("f".repeat(this.below(300)));
          break;
        default:
          pieces.push([",", ":", ";", ",1", ":00", ",4:", this.hex(2), this.hex(4)][this.below(8)]!);
      }
    }
    return pieces.join("");
  }

  /** Bytes that contain no whole packet with a correct checksum. */
  noise(): Uint8Array {
    switch (this.below(5)) {
      case 0: {
        // Random bytes, without #, so that no checksum is correct by chance.
        return Uint8Array.from({ length: this.below(64) }, () => this.below(256)).filter((b) => b !== 0x23);
      }
      case 1: {
        const bytes = frame(this.payload());
        const digit = bytes.length - 1 - this.below(2);
        bytes[digit] = bytes[digit] === 0x30 ? 0x31 : 0x30;
        return bytes;
      }
      case 2: {
        const bytes = frame(this.payload());
        return bytes.subarray(0, this.below(bytes.length));
      }
      case 3:
        return Buffer.from("+-".repeat(this.below(20)));
      default:
        return Buffer.from(`$${"m".repeat(this.below(50) === 0 ? 70_000 : this.below(50))}#00`);
    }
  }

  private hex(digits: number): string {
    return Array.from({ length: digits }, () => this.below(16).toString(16)).join("");
  }
}
