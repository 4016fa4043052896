/**
 * Converts between the FXSAVE image (Intel SDM vol. 1, table 10-2) and the environment, which holds the x87 state in
 * the format of FNSAVE (vol. 1, figure 8-9). The FPU's last instruction and data pointers are always 0
 * (x86/fpustate.ts).
 */
import { Env } from "./environment.ts";
import type { Processor } from "./processor.ts";

export const FX_BYTES = 512;
const FX_CONTROL = 0;
const FX_STATUS = 2;
const FX_TAGS = 4;
const FX_MXCSR = 24;
const FX_MXCSR_MASK = 28;
const FX_REGISTERS = 32;
const FX_XMM = 160;
export const MXCSR_VALID = 0xffff;

const SAVE_STATUS = 4;
const SAVE_TAGS = 8;
const SAVE_REGISTERS = 28;
const EMPTY = 3;

export function readFxImage(cpu: Processor, image: Uint8Array): void {
  const { env } = cpu;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  image.fill(0, 0, 416);
  view.setUint16(FX_CONTROL, cpu.fpuControl, true);
  view.setUint16(FX_STATUS, cpu.fpuStatus, true);
  const full = env.view.getUint16(Env.X87 + SAVE_TAGS, true);
  let tags = 0;
  for (let index = 0; index < 8; index++) if (((full >> (2 * index)) & 3) !== EMPTY) tags |= 1 << index;
  view.setUint8(FX_TAGS, tags);
  view.setUint32(FX_MXCSR, cpu.mxcsr, true);
  view.setUint32(FX_MXCSR_MASK, MXCSR_VALID, true);
  for (let index = 0; index < 8; index++) {
    const at = Env.X87 + SAVE_REGISTERS + index * 10;
    image.set(env.bytes.subarray(at, at + 10), FX_REGISTERS + index * 16);
  }
  image.set(env.bytes.subarray(Env.XMM, Env.XMM + 256), FX_XMM);
}

export function writeFxImage(cpu: Processor, image: Uint8Array): void {
  const { env } = cpu;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  cpu.setFpuControl(view.getUint16(FX_CONTROL, true));
  env.view.setUint16(Env.X87 + SAVE_STATUS, view.getUint16(FX_STATUS, true), true);
  const tags = view.getUint8(FX_TAGS);
  let full = 0;
  for (let index = 0; index < 8; index++) if (!(tags & (1 << index))) full |= EMPTY << (2 * index);
  env.view.setUint16(Env.X87 + SAVE_TAGS, full, true);
  for (let index = 0; index < 8; index++) {
    const at = FX_REGISTERS + index * 16;
    env.bytes.set(image.subarray(at, at + 10), Env.X87 + SAVE_REGISTERS + index * 10);
  }
  cpu.mxcsr = view.getUint32(FX_MXCSR, true);
  env.bytes.set(image.subarray(FX_XMM, FX_XMM + 256), Env.XMM);
}
