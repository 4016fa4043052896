/** `--until EVENT`: ready, console:TEXT, time:NS, or KIND[:field=value] of the trace. */
import { decodeFields, kindName } from "../trace/decode.ts";
import { kinds } from "../trace/show.ts";
import type { TraceConsumer, TraceEvent } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { parseTime } from "./units.ts";

export interface Until {
  /** As typed. */
  readonly text: string;
  readonly reached: boolean;
  /** Set for time: only. */
  readonly timeNs?: number;
  /** Set if the condition needs trace events. */
  readonly watcher?: TraceConsumer;
  console(line: string): void;
  ready(): void;
}

export function parseUntil(text: string): Until {
  const colon = text.indexOf(":");
  const head = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? "" : text.slice(colon + 1);
  const state = { text, reached: false, console: (_line: string) => {}, ready: () => {} };
  if (text === "ready") {
    state.ready = () => {
      state.reached = true;
    };
    return state;
  }
  if (head === "console" && rest !== "") {
    state.console = (line) => {
      state.reached ||= line.includes(rest);
    };
    return state;
  }
  if (head === "time") return Object.assign(state, { timeNs: parseTime("--until time", rest) });
  if (!kinds.includes(head))
    throw new UserError(
      "bad --until",
      `'${text}'`,
      "give ready, console:TEXT, time:10ms, or an event as irq.eoi or sys.enter:call=write (--show lists groups)",
    );
  const watcher = {
    event: (event: TraceEvent): void => {
      state.reached ||= kindName(event.kind) === head && (rest === "" || matches(event, rest));
    },
  };
  return Object.assign(state, { watcher });
}

/**
 * Matches `field=value` as either style prints it; a value that is printed without its field's name, as the call of
 * sys.enter, also matches.
 */
function matches(event: TraceEvent, wanted: string): boolean {
  const value = wanted.slice(wanted.indexOf("=") + 1);
  return (["full", "golden"] as const).some((style) => {
    const parts = decodeFields(event, { style }).split(" ");
    return parts.includes(wanted) || parts[0] === value;
  });
}
