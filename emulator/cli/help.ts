/** Help texts from the tables of definitions.ts, in plain lines. */
import {
  type Command,
  commands,
  type Example,
  exitStatuses,
  findCommand,
  type Option,
  type OptionGroup,
} from "./definitions.ts";

const INDENT = "  ";
/** Column of the options' texts; a longer option gets its own line. */
const COLUMN = 28;
const WIDTH = 100;

/** `topic`: a command, or the first word of several; undefined: all. */
export function helpText(topic: string | undefined, width = WIDTH): string {
  const command = topic === undefined ? undefined : findCommand(topic);
  const columns = Math.max(60, Math.min(width, WIDTH));
  return command === undefined ? listText(topic, columns) : commandText(command, columns);
}

function listText(topic: string | undefined, width: number): string {
  const listed = commands.filter((c) => topic === undefined || c.name.startsWith(`${topic} `));
  const head =
    topic === undefined
      ? ["margay COMMAND [OPTIONS]", "", "A light-weight kernel in TypeScript on a deterministic multi-node emulator."]
      : [`margay ${topic} COMMAND [OPTIONS]`, "", "Records runs and looks at them."];
  const rows = listed.map((c) => row(`${c.name} ${c.usage}`, c.about, width));
  const examples = topic === undefined ? [] : listed.flatMap((c) => c.examples ?? []);
  return [
    ...head,
    "",
    "Commands:",
    ...rows,
    ...exampleLines(examples),
    "",
    ...(topic === undefined ? statusLines(width) : []),
    `margay ${topic === undefined ? "" : `${topic} `}COMMAND --help lists a command's options; margay --version prints the version.`,
    "",
  ].join("\n");
}

function commandText(c: Command, width: number): string {
  return [
    `margay ${c.name} ${c.groups.length > 0 ? "[OPTIONS] " : ""}${c.usage}`.trimEnd(),
    "",
    ...wrap(`${c.about[0]!.toUpperCase()}${c.about.slice(1)}.`, width),
    ...(c.notes ?? []).flatMap((note) => ["", ...wrap(note, width)]),
    ...c.groups.flatMap((group) => groupLines(group, width)),
    ...exampleLines(c.examples ?? []),
    ...(c.name === "boot" || c.name === "run" ? ["", ...statusLines(width).slice(0, -1)] : []),
    "",
  ].join("\n");
}

function groupLines({ title, options, notes }: OptionGroup, width: number): string[] {
  return [
    "",
    `${title}:`,
    ...options.map((o) => row(optionName(o), optionAbout(o), width)),
    ...(notes ?? []).map((note) => `${INDENT}${INDENT}${note}`),
  ];
}
const exampleLines = (examples: readonly Example[]): string[] =>
  examples.length === 0
    ? []
    : [
        "",
        "Examples:",
        ...examples.flatMap(({ line, about }) => [`${INDENT}${line}`, `${INDENT}${INDENT}${INDENT}${about}`]),
      ];
const statusLines = (width: number): string[] => [
  "Exit status:",
  ...exitStatuses.map(([status, about]) => row(status, about, width, 10)),
  "",
];

/** `-n, --ranks N`, `--hash`. */
export function optionName({ name, short, value }: Option): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}
export const optionAbout = (o: Option): string =>
  `${o.about}${o.default === undefined ? "" : ` (default: ${o.default})`}`;

function row(name: string, about: string, width: number, column = COLUMN): string {
  const lines = wrap(about, width - column);
  const pad = " ".repeat(column);
  const head = `${INDENT}${name}`;
  if (head.length + 2 > column) return [head, ...lines.map((l) => pad + l)].join("\n");
  return [head.padEnd(column) + lines[0]!, ...lines.slice(1).map((l) => pad + l)].join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
