/**
 * `make bench`: all figures, each beside its peer in the same run if there is one. It asserts nothing about wall time,
 * only that both sides did the same work. ONLY=section[:name] selects, JSON=file writes all figures.
 */
import fs from "node:fs";
import path from "node:path";
import { hostSeconds } from "./clock.ts";
import { calls } from "./calls.ts";
import { codegen } from "./codegen.ts";
import { debug } from "./debug.ts";
import { jobDebug } from "./jobdebug.ts";
import { launch } from "./launch.ts";
import { messages } from "./messages.ts";
import { engines } from "./engine.ts";
import { mips } from "./mips.ts";
import { paths } from "./paths.ts";
import { formatSection, type Section } from "./report.ts";
import { profile } from "./profile.ts";
import { python } from "./python.ts";
import { shootdown } from "./shootdown.ts";
import { start } from "./start.ts";

type Run = (packageRoot: string, only: string | undefined) => Section | Promise<Section>;
const sections: readonly (readonly [name: string, run: Run])[] = [
  ["codegen", codegen],
  ["mips", mips],
  ["engine", engines],
  ["debug", debug],
  ["start", start],
  ["paths", paths],
  ["calls", calls],
  ["python", python],
  ["shootdown", shootdown],
  ["messages", messages],
  ["launch", launch],
  ["jobdebug", jobDebug],
  ["profile", profile],
];

const packageRoot = path.resolve(import.meta.dirname, "..");
const [wanted, name] = (process.env.ONLY ?? "").split(":");
const chosen = sections.filter(([section]) => !wanted || section === wanted);
if (chosen.length === 0) {
  console.error(`margay: bench: no section is called ${wanted}: there are ${sections.map(([s]) => s).join(", ")}`);
  process.exit(2);
}
const started = hostSeconds();
const results: Record<string, Section> = {};
for (const [section, run] of chosen) {
  const result = await run(packageRoot, name);
  results[section] = result;
  console.log(`${formatSection(result)}\n`);
}
console.log(`${(hostSeconds() - started).toFixed(0)} s`);
if (process.env.JSON) fs.writeFileSync(process.env.JSON, `${JSON.stringify(results, null, 2)}\n`);
