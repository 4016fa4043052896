/**
 * Splits a command line by the tables of definitions.ts. What is wrong with its form is a UserError that names the command's own help;
 * what a value means is checked elsewhere. Pure: no file is touched.
 */
import { type Command, commands, findCommand, firstWords, type Option, optionsOf, secondWords } from "./definitions.ts";
import { UserError } from "./errors.ts";

/** The values of options as texts, a flag as "true". */
export type Texts = Readonly<Record<string, string | undefined>>;
export interface Parsed {
  readonly command: Command;
  readonly texts: Texts;
  /** Options that may be given more than once, in the order of the line. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  readonly operands: readonly string[];
}
export type Line =
  | { readonly kind: "command"; readonly parsed: Parsed }
  /** `topic`: a command, or the first word of some; undefined: all. */
  | { readonly kind: "help"; readonly topic: string | undefined }
  | { readonly kind: "version" }
  /** Nothing was typed. */
  | { readonly kind: "nothing" };

const helpOf = (command: Command): string => `\`margay ${command.name} --help\` lists what there is`;
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

/** What stands behind the command's name. @throws UserError */
export function parseArguments(command: Command, args: readonly string[]): Line {
  const options = optionsOf(command);
  const given = new Map<string, string[]>();
  let operands: readonly string[] = [];
  const refuse = (what: string, where: string, todo = helpOf(command)): never => {
    throw new UserError(what, where, todo);
  };
  const put = (option: Option, value: string): void => {
    const values = given.get(option.name);
    if (values === undefined) given.set(option.name, [value]);
    else if (option.mayRepeat === true) values.push(value);
    else refuse(`--${option.name} given twice`, `${shown(values[0]!)}, ${shown(value)}`, "give it once");
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      operands = [...operands, ...args.slice(i + 1)];
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      if (command.operand?.takesRest === true) {
        operands = args.slice(i);
        break;
      }
      operands = [...operands, arg];
      continue;
    }
    if (isHelp(arg)) return { kind: "help", topic: command.name };
    const { name, inline } = splitOption(arg);
    const option = options.find((o) => name === `--${o.name}` || (o.short !== undefined && name === `-${o.short}`));
    if (option === undefined) return refuse("unknown option", shown(name));
    if (option.value === undefined) {
      if (inline !== undefined) refuse(`${name} takes no value`, shown(arg));
      put(option, "true");
      continue;
    }
    let value = inline;
    if (value === undefined) {
      value = args[++i];
      // A value may begin with a dash (-1), but two of them are the next option.
      if (value === undefined || value.startsWith("--"))
        return refuse("no value", name, `give ${name} ${option.value}`);
    }
    put(option, value);
  }
  for (const option of options)
    if (option.mustBeGiven === true && !given.has(option.name))
      refuse("missing option", `--${option.name}`, `give --${option.name} ${option.value}`);
  checkOperands(command, operands);
  const single = options.filter((o) => o.mayRepeat !== true && given.has(o.name));
  const repeated = options.filter((o) => o.mayRepeat === true);
  return {
    kind: "command",
    parsed: {
      command,
      texts: Object.fromEntries(single.map(({ name }) => [name, given.get(name)![0]!])),
      lists: Object.fromEntries(repeated.map(({ name }) => [name, given.get(name) ?? []])),
      operands,
    },
  };
}

/** `--name`, `--name=value`, `-n`, `-nVALUE`, `-n=VALUE`. */
function splitOption(arg: string): { readonly name: string; readonly inline: string | undefined } {
  if (!arg.startsWith("--")) {
    const rest = arg.slice(2).replace(/^=/, "");
    return { name: arg.slice(0, 2), inline: arg.length === 2 ? undefined : rest };
  }
  const equals = arg.indexOf("=");
  return equals < 0 ? { name: arg, inline: undefined } : { name: arg.slice(0, equals), inline: arg.slice(equals + 1) };
}

function checkOperands(command: Command, operands: readonly string[]): void {
  const { operand } = command;
  const { least, most, name, takesRest } = operand ?? { least: 0, most: 0, name: "" };
  if (operands.length < least)
    throw new UserError(
      `no ${least > 1 && operands.length > 0 ? `second ${name}` : name}`,
      `margay ${command.name}`,
      `give \`margay ${command.name} ${command.usage}\``,
    );
  if (takesRest !== true && operands.length > most)
    throw new UserError("one argument too many", shown(operands[most]!), helpOf(command));
}

/** As it was typed; the line's end and length are describeError's matter. */
export const shown = (text: string): string => `'${text.length > 80 ? `${text.slice(0, 77)}…` : text}'`;

/** The command that `margay help WORDS` means. @throws UserError */
export function helpTopic(words: readonly string[]): string | undefined {
  const topic = words.join(" ");
  if (topic === "") return undefined;
  if (commands.some((c) => c.name === topic || c.name.startsWith(`${topic} `))) return topic;
  throw new UserError("no such command", shown(topic), `there are ${firstWords.join(", ")}`);
}
