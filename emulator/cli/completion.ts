/**
 * `margay completion bash|zsh|fish`: completion scripts made from the tables of definitions.ts. Each script holds every
 * command, option and fixed word, so that pressing Tab starts no process.
 */
import { recipes } from "../../images/recipes.ts";
import { commands, firstWords, type Offer, type Option, optionsOf, secondWords } from "./definitions.ts";

export const shells = ["bash", "zsh", "fish"] as const;

const imageNames = recipes.map((r) => r.name);
const programNames = recipes.filter((r) => r.output.startsWith("bin/")).map((r) => r.name);
/** The words of an offer; the shell itself completes files and directories. */
function wordsOf(offer: Offer | undefined): readonly string[] {
  if (offer === "image") return imageNames;
  if (offer === "program") return programNames;
  return typeof offer === "object" ? offer : [];
}
const takesFile = (offer: Offer | undefined): boolean => offer === "file" || offer === "image" || offer === "program";

export function completionScript(shell: (typeof shells)[number]): string {
  return { bash, zsh, fish }[shell]();
}

// ---- bash

function bash(): string {
  const names = (o: Option): string[] => [`--${o.name}`, ...(o.short === undefined ? [] : [`-${o.short}`])];
  const compgen = (offer: Offer | undefined): string => {
    const words = wordsOf(offer).join(" ");
    const parts = [
      ...(words === "" ? [] : [`$(compgen -W "${words}" -- "$word")`]),
      ...(takesFile(offer) ? [`$(compgen -f -- "$word")`] : []),
      ...(offer === "directory" ? [`$(compgen -d -- "$word")`] : []),
    ];
    return parts.length === 0 ? "COMPREPLY=()" : `COMPREPLY=(${parts.join(" ")})`;
  };
  const cases = commands.map((c) => {
    const options = optionsOf(c);
    const valued = options.filter((o) => o.value !== undefined);
    const byOption = valued.map((o) => `        ${names(o).join("|")}) ${compgen(o.offers)}; return ;;`);
    const all = [...options.flatMap(names), "--help"].join(" ");
    return [
      `    "${c.name}")`,
      ...(byOption.length === 0 ? [] : [`      case "$previous" in`, ...byOption, "      esac"]),
      `      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "${all}" -- "$word")); else ${compgen(c.operand?.offers)}; fi ;;`,
    ].join("\n");
  });
  const families = firstWords.filter((w) => secondWords(w).length > 0);
  return `# bash completion of margay; source it, or put it into /etc/bash_completion.d
_margay() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then COMPREPLY=($(compgen -W "${[...firstWords, "--help", "--version"].join(" ")}" -- "$word")); return; fi
${families
  .map(
    (w) => `  if [ "$command" = ${w} ]; then
    if [ "$COMP_CWORD" -le 2 ]; then COMPREPLY=($(compgen -W "${secondWords(w).join(" ")} --help" -- "$word")); return; fi
    command="${w} \${COMP_WORDS[2]}"
  fi`,
  )
  .join("\n")}
  case "$command" in
${cases.join("\n")}
  esac
}
complete -o filenames -F _margay margay
`;
}

// ---- zsh

function zsh(): string {
  const quote = (text: string): string => text.replace(/'/g, "'\\''");
  const describe = (text: string): string => quote(text.replace(/[[\]\\:]/g, "\\$&"));
  const action = (offer: Offer | undefined): string => {
    const words = wordsOf(offer).join(" ");
    if (offer === "directory") return "_files -/";
    if (!takesFile(offer)) return words === "" ? " " : `(${words})`;
    return words === "" ? "_files" : `{_alternative "names:name:(${words})" "files:file:_files"}`;
  };
  const specs = (o: Option): string[] => {
    const value = o.value === undefined ? "" : `:${describe(o.value)}:${action(o.offers)}`;
    const many = o.mayRepeat === true ? "*" : "";
    return [
      `'${many}--${o.name}[${describe(o.about)}]${value}'`,
      ...(o.short === undefined ? [] : [`'${many}-${o.short}[${describe(o.about)}]${value}'`]),
    ];
  };
  const cases = commands.map((c) => {
    const lines = [...optionsOf(c).flatMap(specs), "'--help[list the options]'"];
    if (c.operand !== undefined) {
      const rest = c.operand.takesRest === true ? ` '*::argument:_files'` : "";
      lines.push(`'${c.operand.most > 1 ? "*" : "1"}:${describe(c.operand.name)}:${action(c.operand.offers)}'${rest}`);
    }
    return `    '${c.name}') _arguments -S ${lines.join(" \\\n      ")} ;;`;
  });
  const families = firstWords.filter((w) => secondWords(w).length > 0);
  const aboutOf = (w: string): string => describe(commands.find((c) => c.name.split(" ")[0] === w)!.about);
  return `#compdef margay
_margay() {
  local command=\${words[2]}
  if (( CURRENT == 2 )); then
    local -a list=(${firstWords.map((w) => `'${w}:${aboutOf(w)}'`).join(" ")})
    _describe command list
    return
  fi
  shift words; (( CURRENT-- ))
${families
  .map(
    (w) => `  if [[ $command == ${w} ]]; then
    if (( CURRENT == 2 )); then
      local -a list=(${secondWords(w)
        .map((s) => `'${s}'`)
        .join(" ")})
      _describe command list
      return
    fi
    command="${w} \${words[2]}"
    shift words; (( CURRENT-- ))
  fi`,
  )
  .join("\n")}
  case $command in
${cases.join("\n")}
  esac
}
compdef _margay margay
`;
}

// ---- fish

function fish(): string {
  const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = [
    "# fish completion of margay; put it into ~/.config/fish/completions/margay.fish",
    "complete -c margay -f",
    ...firstWords.map((w) => {
      const about = commands.find((c) => c.name.split(" ")[0] === w)!.about;
      return `complete -c margay -n __fish_use_subcommand -a ${w} -d ${quote(about)}`;
    }),
  ];
  for (const w of firstWords) {
    const seconds = secondWords(w);
    if (seconds.length > 0)
      lines.push(
        `complete -c margay -n '__fish_seen_subcommand_from ${w}; and not __fish_seen_subcommand_from ${seconds.join(" ")}' -a '${seconds.join(" ")}'`,
      );
  }
  for (const c of commands) {
    const [first, second] = c.name.split(" ");
    const when = `__fish_seen_subcommand_from ${first}${second === undefined ? "" : `; and __fish_seen_subcommand_from ${second}`}`;
    const offer = (o: Offer | undefined): string => {
      const words = wordsOf(o);
      const own = words.length === 0 ? "" : ` -a '${words.join(" ")}'`;
      return `${own}${takesFile(o) ? " -F" : o === "directory" ? " -a '(__fish_complete_directories)'" : ""}`;
    };
    for (const o of optionsOf(c)) {
      const short = o.short === undefined ? "" : ` -s ${o.short}`;
      const value = o.value === undefined ? "" : ` -r${offer(o.offers)}`;
      lines.push(`complete -c margay -n '${when}' -l ${o.name}${short}${value} -d ${quote(o.about)}`);
    }
    const operands = offer(c.operand?.offers);
    if (operands !== "") lines.push(`complete -c margay -n '${when}'${operands}`);
  }
  return `${lines.join("\n")}\n`;
}
