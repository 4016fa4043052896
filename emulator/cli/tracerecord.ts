/**
 * `margay trace record`: a run as `margay run` makes it, its selected events in a file. The header holds the line that makes the same run
 * again and the hashes of the images; the file's own name is not in it, so that equal runs give equal files.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { type TracedImage, type TraceHeader, TraceFileWriter } from "../trace/file.ts";
import type { TraceConsumer } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { imageFile, imagesOut, machineSettings, openOutput, rootFolder, type Texts } from "./inputs.ts";
import { bounds, defaults, recordOptions } from "./options.ts";
import { packageRoot } from "./package.ts";
import { programFile, runCommand } from "./run.ts";
import { parseCount } from "./units.ts";

export const DEFAULT_TRACE_FILE = "margay.trace";

export async function recordCommand(line: readonly string[], o: Texts): Promise<number> {
  const program = line[0];
  if (program === undefined)
    throw new UserError("no program", "trace record", "give a job: `margay trace record hello`");
  const { output = DEFAULT_TRACE_FILE, ...options } = o;
  return runCommand(line, options, { record: () => openRecord(output, header(line, program, options)) });
}

/** Called once everything else about the line has been checked. */
function openRecord(file: string, about: TraceHeader): TraceConsumer {
  const fd = openOutput("--output", file);
  const writer = new TraceFileWriter(about, (text) => void fs.writeFileSync(fd, text));
  return {
    event: (event) => writer.event(event),
    end: () => {
      writer.end();
      fs.closeSync(fd);
    },
  };
}

function header(line: readonly string[], program: string, o: Texts): TraceHeader {
  const { cores, seed } = machineSettings(o, defaults.runCores);
  const nodes = o["nodes"] === undefined ? defaults.nodes : parseCount("--nodes", o["nodes"], 1, bounds.nodes);
  // In the order of the table, whatever the order on the line.
  const options = Object.entries(recordOptions).flatMap(([name, { type }]) => {
    const value = o[name];
    return value === undefined ? [] : type === "boolean" ? [`--${name}`] : [`--${name}`, value];
  });
  const selection = ["show", "node", "core", "from", "to"].flatMap((name) =>
    o[name] === undefined ? [] : [`${name}=${o[name]}`],
  );
  const images = [
    image("kernel", imageFile(o["kernel"] ?? "kernel")),
    image("init", path.join(imagesOut, "init.elf")),
    image("program", programFile(program, rootFolder(o["root"]))),
  ];
  return {
    command: ["run", ...options, ...line],
    image: program,
    nodes,
    cores,
    seed,
    show: selection.join(" ") || "all",
    images: images.filter((i) => i !== undefined),
  };
}

/** Undefined: there is no such file, and init will say so. */
function image(role: TracedImage["role"], file: string | undefined): TracedImage | undefined {
  if (file === undefined) return undefined;
  const inPackage = path.relative(packageRoot, file);
  const name = inPackage.startsWith("..") || path.isAbsolute(inPackage) ? file : inPackage;
  return { role, file: name, sha256: createHash("sha256").update(fs.readFileSync(file)).digest("hex") };
}
