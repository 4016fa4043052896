/** Registers of the selected core: g, G, p, P. */
import { parseSmallHex } from "../framing.ts";
import {
  allRegistersHex,
  processRegisters,
  RegisterView,
  registerHex,
  registers,
  setAllRegistersHex,
  setRegisterHex,
} from "../registers.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";

const known = (session: Session): typeof registers => (session.target.system === false ? processRegisters : registers);
const view = (session: Session): RegisterView => new RegisterView(session.target.registers(session.general));

function writeOne(session: Session, rest: string): Reply {
  const equals = rest.indexOf("=");
  const register = known(session)[parseSmallHex(rest.slice(0, Math.max(equals, 0)), 0xffff) ?? -1];
  if (register === undefined) return Failure.INVALID;
  const into = view(session);
  const taken = setRegisterHex(register, into, rest.slice(equals + 1));
  into.finish();
  return taken ? "OK" : Failure.INVALID;
}
function writeAll(session: Session, rest: string): Reply {
  const into = view(session);
  const taken = setAllRegistersHex(into, rest, known(session));
  into.finish();
  return taken ? "OK" : Failure.INVALID;
}

export const registerPackets: readonly PacketRow[] = [
  { prefix: "g", answer: (session, rest) => (rest === "" ? allRegistersHex(view(session), known(session)) : "") },
  { prefix: "G", answer: writeAll },
  {
    prefix: "p",
    answer: (session, rest) => {
      const register = known(session)[parseSmallHex(rest, 0xffff) ?? -1];
      return register === undefined ? Failure.INVALID : registerHex(register, view(session));
    },
  },
  { prefix: "P", answer: writeOne },
];
