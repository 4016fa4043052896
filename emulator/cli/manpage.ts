/** margay(1) in roff (man(7)), from the tables of definitions.ts. */
import { type Command, commands, exitStatuses, type Option } from "./definitions.ts";
import { optionAbout } from "./help.ts";

/** Escapes text for roff: no escapes, no hyphenation of dashes, no request at the start of a line. */
function plain(text: string): string {
  const escaped = text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/…/g, "...");
  return escaped.replace(/^([.'])/gm, "\\&$1");
}
const bold = (text: string): string => `\\fB${plain(text)}\\fR`;

function optionLines(o: Option): string[] {
  const short = o.short === undefined ? "" : `${bold(`-${o.short}`)}, `;
  const value = o.value === undefined ? "" : ` \\fI${plain(o.value)}\\fR`;
  return [".TP", `${short}${bold(`--${o.name}`)}${value}`, plain(optionAbout(o))];
}

function commandLines(c: Command): string[] {
  return [
    `.SS margay ${plain(c.name)}${c.groups.length > 0 ? " [OPTIONS]" : ""} ${plain(c.usage)}`.trimEnd(),
    plain(`${c.about[0]!.toUpperCase()}${c.about.slice(1)}.`),
    ...(c.notes ?? []).flatMap((note) => [".PP", plain(note)]),
    ...c.groups.flatMap((group) => [
      ".PP",
      `${bold(group.title)}`,
      ...group.options.flatMap(optionLines),
      ...(group.notes === undefined ? [] : [".RS", ".nf", ...group.notes.map(plain), ".fi", ".RE"]),
    ]),
  ];
}

export function manPage(version: string): string {
  const examples = commands.flatMap((c) => c.examples ?? []);
  return [
    `.TH MARGAY 1 "" "margay ${version}" "User Commands"`,
    ".SH NAME",
    "margay \\- a light\\-weight kernel in TypeScript on a deterministic multi\\-node emulator",
    ".SH SYNOPSIS",
    ...commands.flatMap((c, i) => [
      ...(i > 0 ? [".br"] : []),
      `${bold(`margay ${c.name}`)}${c.groups.length > 0 ? " [\\fIOPTIONS\\fR]" : ""} ${plain(c.usage)}`.trimEnd(),
    ]),
    ".SH COMMANDS",
    ...commands.flatMap(commandLines),
    ".SH EXAMPLES",
    ...examples.flatMap(({ line, about }) => [".TP", bold(line), plain(about)]),
    ".SH EXIT STATUS",
    ...exitStatuses.flatMap(([status, about]) => [".TP", bold(status), plain(about)]),
    ".SH ENVIRONMENT",
    ".TP",
    bold("UNICORN_LIB"),
    plain("path of the Unicorn library, where it is not the installation's own"),
    ".TP",
    bold("MARGAY_ENGINE"),
    plain("the engine where --engine is not given: unicorn or native"),
    ".TP",
    bold("MARGAY_STACK"),
    plain("if set, an internal error is printed with its stack"),
    "",
  ].join("\n");
}
