/** Registers of a job's thread, as the kernel sends them (kernel/abi/jobdebug.ts), by the names that the stub has. */
import { DebugRegisters } from "../abi/jobdebug.ts";
import { GeneralRegisters } from "../abi/registers.ts";
import { Selector } from "../abi/x86.ts";

export const fxOf = ({ view }: DebugRegisters): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + DebugRegisters.OFFSETS.fx, 512);
type Direct = keyof typeof GeneralRegisters.OFFSETS;
const isDirect = (name: string): name is Direct => Object.hasOwn(GeneralRegisters.OFFSETS, name);

export function registerOf(r: DebugRegisters, name: string): bigint {
  if (isDirect(name)) return r[name];
  // biome-ignore format: one case a row
  switch (name) {
    case "fs_base": return r.fsBase;
    case "gs_base": return r.gsBase;
    case "orig_rax": return r.callNumber;
    case "cs": return BigInt(Selector.USER_CODE);
    case "ss": case "ds": case "es": return BigInt(Selector.USER_DATA);
    default: return 0n;
  }
}
export function setRegisterOf(r: DebugRegisters, name: string, value: bigint): void {
  if (isDirect(name)) r[name] = value;
  else if (name === "fs_base") r.fsBase = value;
  else if (name === "gs_base") r.gsBase = value;
  else if (name === "orig_rax") r.callNumber = value;
}
