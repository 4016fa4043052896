/**
 * Splits a command line by the tables of definitions.ts, with yargs' parser. A syntax error is a UserError that names
 * the command's own help; values are checked elsewhere. Pure: it touches no file.
 */
import { type Command, commands, findCommand, firstWords, type Option, optionsOf, secondWords } from "./definitions.ts";
import { UserError } from "./errors.ts";
import { Parser } from "yargs/helpers";

/** The values of options as texts; a flag is "true". */
export type Texts = Readonly<Record<string, string | undefined>>;
export interface Parsed {
  readonly command: Command;
  readonly texts: Texts;
  /** Options that may be repeated, in the order of the line. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  readonly operands: readonly string[];
}
export type Line =
  | { readonly kind: "command"; readonly parsed: Parsed }
  /** `topic`: a command, or the first word of several; undefined: all. */
  | { readonly kind: "help"; readonly topic: string | undefined }
  | { readonly kind: "version" }
  /** Nothing was typed. */
  | { readonly kind: "nothing" };

const helpOf = (command: Command): string => `\`margay ${command.name} --help\` lists the options`;
const isHelp = (arg: string): boolean => arg === "--help" || arg === "-h";

/** @throws UserError */
export function parseLine(argv: readonly string[]): Line {
  const [first, second] = argv;
  if (first === undefined) return { kind: "nothing" };
  if (isHelp(first)) return { kind: "help", topic: undefined };
  if (first === "--version" || first === "-V") return { kind: "version" };
  if (first.startsWith("-")) throw new UserError("unknown option", shown(first), "`margay --help` lists the commands");
  const seconds = secondWords(first);
  if (seconds.length > 0) {
    if (second === undefined)
      throw new UserError(`no ${first} command`, `margay ${first}`, `give ${seconds.join(", ")}`);
    if (isHelp(second)) return { kind: "help", topic: first };
    const command = findCommand(`${first} ${second}`);
    if (command === undefined)
      throw new UserError(`no such ${first} command`, shown(second), `there are ${seconds.join(", ")}`);
    return parseArguments(command, argv.slice(2));
  }
  const command = findCommand(first);
  if (command === undefined) throw new UserError("no such command", shown(first), `there are ${firstWords.join(", ")}`);
  return parseArguments(command, argv.slice(1));
}

/** Parses the words after the command's name. @throws UserError */
export function parseArguments(command: Command, args: readonly string[]): Line {
  const options = optionsOf(command);
  const { argv, error } = Parser.detailed([...args], parserOptions(command, options));
  const { _: operands, "--": behindDashes = [], ...given } = argv as Split;
  if (given["help"] === true) return { kind: "help", topic: command.name };
  const refuse = (what: string, where: string, todo = helpOf(command)): never => {
    throw new UserError(what, where, todo);
  };
  const valueMissing = /following: (.+)$/.exec(error?.message ?? "")?.[1];
  const typed = (name: string): string => (name.length === 1 ? `-${name}` : `--${name}`);
  /** The word of the line that `name` came from, if it is not simply an option of that name. */
  const word = (name: string): string => {
    const plain = typed(name);
    if (args.some((arg) => arg === plain || arg.startsWith(`${plain}=`))) return plain;
    return args.find((arg) => arg.startsWith("-") && arg.includes(name)) ?? plain;
  };
  for (const name of Object.keys(given))
    if (!options.some((o) => o.name === name)) refuse("unknown option", shown(word(name)));
  if (error) {
    const option = options.find((o) => o.name === valueMissing || o.short === valueMissing);
    if (option === undefined) return refuse("bad option", shown(error.message));
    refuse("no value", typed(valueMissing!), `give ${typed(valueMissing!)} ${option.value}`);
  }
  const values = new Map<string, readonly string[]>();
  for (const option of options) {
    const value = given[option.name];
    if (value === undefined) {
      if (option.mustBeGiven === true)
        refuse("missing option", `--${option.name}`, `give --${option.name} ${option.value}`);
      continue;
    }
    const list = [value].flat().map(String);
    const assigned = args.find((arg) => arg.startsWith(`--${option.name}=`));
    if (option.value === undefined && assigned !== undefined)
      refuse(`--${option.name} takes no value`, shown(assigned));
    if (list.length > 1 && option.mayRepeat !== true)
      refuse(`--${option.name} given twice`, `${shown(list[0]!)}, ${shown(list[1]!)}`, "give it once");
    values.set(option.name, list);
  }
  const all = [...operands, ...behindDashes];
  checkOperands(command, all, values);
  const single = options.filter((o) => o.mayRepeat !== true && values.has(o.name));
  const repeated = options.filter((o) => o.mayRepeat === true);
  return {
    kind: "command",
    parsed: {
      command,
      texts: Object.fromEntries(single.map(({ name }) => [name, values.get(name)![0]!])),
      lists: Object.fromEntries(repeated.map(({ name }) => [name, values.get(name) ?? []])),
      operands: all,
    },
  };
}

/** Result of yargs' parser: operands, the words after `--`, and options by name. */
type Split = Readonly<Record<string, unknown>> & { readonly _: readonly string[]; readonly "--"?: readonly string[] };

/** Values stay texts; they are checked elsewhere. */
function parserOptions(command: Command, options: readonly Option[]): Parameters<typeof Parser.detailed>[1] {
  const names = (some: readonly Option[]): string[] => some.map((o) => o.name);
  return {
    alias: { help: ["h"], ...Object.fromEntries(options.flatMap((o) => (o.short ? [[o.name, [o.short]]] : []))) },
    boolean: ["help", ...names(options.filter((o) => o.value === undefined))],
    string: ["_", ...names(options.filter((o) => o.value !== undefined))],
    narg: Object.fromEntries(options.filter((o) => o.value !== undefined).map((o) => [o.name, 1])),
    configuration: {
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "duplicate-arguments-array": true,
      "greedy-arrays": false,
      "halt-at-non-option": command.operand?.takesRest === true,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "populate--": true,
      "strip-aliased": true,
    },
  };
}

function checkOperands(
  command: Command,
  operands: readonly string[],
  values: ReadonlyMap<string, readonly string[]>,
): void {
  const { operand } = command;
  const { least, most, name, takesRest, orOption } = operand ?? { least: 0, most: 0, name: "" };
  if (orOption !== undefined && values.has(orOption)) {
    if (operands.length > 0) throw new UserError(`${name} with --${orOption}`, shown(operands[0]!), "give one of them");
    return;
  }
  if (operands.length < least)
    throw new UserError(
      `no ${least > 1 && operands.length > 0 ? `second ${name}` : name}`,
      `margay ${command.name}`,
      `give \`margay ${command.name} ${command.usage}\``,
    );
  if (takesRest !== true && operands.length > most)
    throw new UserError("one argument too many", shown(operands[most]!), helpOf(command));
}

/** Quotes the text as typed; describeError handles line ends and length. */
export const shown = (text: string): string => `'${text.length > 80 ? `${text.slice(0, 77)}…` : text}'`;

/** The command that `margay help WORDS` means. @throws UserError */
export function helpTopic(words: readonly string[]): string | undefined {
  const topic = words.join(" ");
  if (topic === "") return undefined;
  if (commands.some((c) => c.name === topic || c.name.startsWith(`${topic} `))) return topic;
  throw new UserError("no such command", shown(topic), `there are ${firstWords.join(", ")}`);
}
