/** Resuming: vCont with c, C, s, S, t and r (step while within a range), the old c, s, C, S. */
import type { StepRequest } from "../../machine/control.ts";
import { parseHex } from "../framing.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";
import type { CoreId } from "../target.ts";
import type { ThreadPattern } from "../threads.ts";

interface Action {
  readonly kind: string;
  /** With a signal, which a machine does not deliver. */
  readonly signal: boolean;
  readonly range?: NonNullable<StepRequest["range"]>;
  readonly thread?: ThreadPattern;
}

function parseAction(session: Session, text: string): Action | undefined {
  const colon = text.indexOf(":");
  const word = colon < 0 ? text : text.slice(0, colon);
  const thread = colon < 0 ? undefined : session.threads.parse(text.slice(colon + 1));
  if (colon >= 0 && thread === undefined) return undefined;
  const where = thread === undefined ? {} : { thread };
  if (/^[cst]$/.test(word)) return { kind: word, signal: false, ...where };
  if (/^[CS][0-9a-f]{2}$/i.test(word))
    return { kind: word[0]!.toLowerCase(), signal: word.slice(1) !== "00", ...where };
  const [start, end] = word.startsWith("r") ? word.slice(1).split(",").map(parseHex) : [];
  return start === undefined || end === undefined
    ? undefined
    : { kind: "r", signal: false, range: { start, end }, ...where };
}

/** `;action[:thread]…`: for each thread the leftmost matching action applies. */
function vCont(session: Session, rest: string): Reply {
  const actions: Action[] = [];
  for (const text of rest.split(";")) {
    const action = parseAction(session, text);
    if (action === undefined) return Failure.INVALID;
    actions.push(action);
  }
  const steps: StepRequest[] = [];
  const delivered: CoreId[] = [];
  const standing: CoreId[] = [];
  let moving = 0;
  let going = 0;
  for (const nid of session.nids) {
    for (let core = 0; core < session.target.cores(nid); core++) {
      const id = { nid, core };
      if (session.target.present?.(id) === false) continue;
      const action = actions.find((a) => a.thread === undefined || session.threads.matches(a.thread, id));
      if (action === undefined || action.kind === "t") {
        standing.push(id);
        continue;
      }
      moving++;
      if (action.signal) delivered.push(id);
      if (action.kind === "c") going++;
      else steps.push(action.range === undefined ? id : { ...id, range: action.range });
    }
  }
  if (moving === 0) return actions.some((a) => a.kind === "t") ? session.stopReply() : Failure.NO_THREAD;
  session.resume({ steps, exclusive: going === 0, delivered, standing });
  return undefined;
}

/**
 * `c [ADDRESS]`, `s [ADDRESS]`, `C SIGNAL[;ADDRESS]`, `S SIGNAL[;ADDRESS]`: for the thread chosen by Hc, for clients
 * without vCont.
 */
function old(step: boolean, signal: boolean): (session: Session, rest: string) => Reply {
  return (session, rest) => {
    const text = signal ? (/^[0-9a-f]{2}(?:;(.+))?$/i.exec(rest) ?? [undefined, "?"])[1] : rest || undefined;
    const address = text === undefined ? undefined : parseHex(text);
    if (text !== undefined && address === undefined) return Failure.INVALID;
    if (address !== undefined) session.target.registers(session.general).setRegister("rip", address);
    session.resume({
      steps: step ? [session.general] : [],
      exclusive: false,
      standing: [],
      delivered: signal ? [session.general] : [],
    });
    return undefined;
  };
}

export const resumePackets: readonly PacketRow[] = [
  { prefix: "vCont?", answer: () => "vCont;c;C;s;S;t;r" },
  { prefix: "vCont;", answer: vCont },
  { prefix: "c", answer: old(false, false) },
  { prefix: "s", answer: old(true, false) },
  { prefix: "C", answer: old(false, true) },
  { prefix: "S", answer: old(true, true) },
];
