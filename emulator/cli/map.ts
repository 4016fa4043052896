/**
 * `--map RANKS=COMMAND,…`: a program for each range of ranks (MPMD), as srun --multi-prog has it in a file. COMMAND is
 * split into words like a shell's: blanks separate, quotes and backslashes keep. A comma ends a COMMAND only before
 * the next `RANKS=`.
 */
import { UserError } from "./errors.ts";
import { bounds } from "./limits.ts";

export interface MappedProgram {
  readonly argv: readonly string[];
  readonly ranks: readonly number[];
}

/** @throws UserError unless every rank from 0 on has one program. */
export function parseMap(text: string): readonly MappedProgram[] {
  const heads = [...text.matchAll(/(?<=^|,)(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)=/g)];
  if (heads[0]?.index !== 0) refuse(`'${text}'`, FORM);
  const programs = heads.map((head, i) => {
    const start = head.index + head[0].length;
    const next = heads[i + 1];
    const command = text.slice(start, next === undefined ? undefined : next.index - 1);
    const argv = words(command);
    if (argv[0] === undefined || argv[0] === "") refuse(`ranks ${head[1]} have no program`, FORM);
    return { argv, ranks: head[1]!.split(",").flatMap(range) };
  });
  const all = programs.flatMap(({ ranks }) => ranks).sort((a, b) => a - b);
  all.forEach((rank, i) => {
    if (rank < i) refuse(`rank ${rank} has two programs`, "give each rank one");
    if (rank > i) refuse(`rank ${i} has no program`, "name every rank from 0 on");
  });
  return programs;
}
const FORM = "give RANKS=COMMAND,…, as 0-3=/bin/a x,4-7=b";

function range(text: string): number[] {
  const [first, last = first] = text.split("-").map(Number) as [number, number?];
  if (last < first || last >= bounds.ranks) refuse(`ranks ${text}`, `give ascending ranks below ${bounds.ranks}`);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function words(command: string): string[] {
  const result: string[] = [];
  let word: string | undefined;
  for (let rest = command; rest !== ""; ) {
    const [piece, single, double, escaped, blank] =
      /^(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(\s+)|[^\s'"\\]+)/su.exec(rest) ??
      refuse(`'${command}': a quote is not closed`, "close it, or write \\' or \\\"");
    rest = rest.slice(piece.length);
    if (blank !== undefined) {
      if (word !== undefined) result.push(word);
      word = undefined;
    } else word = (word ?? "") + (single ?? double?.replace(/\\(["\\])/g, "$1") ?? escaped ?? piece);
  }
  return word === undefined ? result : [...result, word];
}

function refuse(where: string, todo: string): never {
  throw new UserError("bad --map", where, todo);
}
