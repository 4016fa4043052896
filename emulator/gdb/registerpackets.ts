/** Registers of the selected core: g, G, p, P. */
import { parseSmallHex } from "./packets.ts";
import {
  allRegistersHex,
  processRegisters,
  RegisterView,
  registerHex,
  registers,
  setAllRegistersHex,
  setRegisterHex,
} from "./registers.ts";
import { Failure, type PacketRow, type Reply } from "./packetrow.ts";
import type { Stub } from "./stub.ts";

const known = (stub: Stub): typeof registers => (stub.target.system === false ? processRegisters : registers);
const view = (stub: Stub): RegisterView => new RegisterView(stub.target.registers(stub.general));

function writeOne(stub: Stub, rest: string): Reply {
  const equals = rest.indexOf("=");
  const register = known(stub)[parseSmallHex(rest.slice(0, Math.max(equals, 0)), 0xffff) ?? -1];
  if (register === undefined) return Failure.INVALID;
  const into = view(stub);
  const taken = setRegisterHex(register, into, rest.slice(equals + 1));
  into.finish();
  return taken ? "OK" : Failure.INVALID;
}
function writeAll(stub: Stub, rest: string): Reply {
  const into = view(stub);
  const taken = setAllRegistersHex(into, rest, known(stub));
  into.finish();
  return taken ? "OK" : Failure.INVALID;
}

export const registerPackets: readonly PacketRow[] = [
  { prefix: "g", answer: (stub, rest) => (rest === "" ? allRegistersHex(view(stub), known(stub)) : "") },
  { prefix: "G", answer: writeAll },
  {
    prefix: "p",
    answer: (stub, rest) => {
      const register = known(stub)[parseSmallHex(rest, 0xffff) ?? -1];
      return register === undefined ? Failure.INVALID : registerHex(register, view(stub));
    },
  },
  { prefix: "P", answer: writeOne },
];
