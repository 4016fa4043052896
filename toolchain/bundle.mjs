/**
 * Bundles a host-side program with esbuild.
 *   node toolchain/bundle.mjs ENTRY OUTPUT.js    one file, an ES module
 *   node toolchain/bundle.mjs ENTRY FOLDER/      a command that starts fast: FOLDER/NAME.js and FOLDER/NAME-HASH.cjs
 * npm packages stay outside the bundle, except yargs, whose parser every start needs. TypeScript's compiler is loaded
 * by `require`: an `import` of its 9 MB would first scan it for export names, which takes longer than running it.
 *
 * A command is one script that NAME.js compiles itself, with V8's code cache if there is one (NAME-HASH.cache):
 * resolving and compiling about forty modules takes longer than most runs. The script's name holds the hash of its
 * text, so a cache never applies to another script. V8 refuses a cache that another version of node wrote, and compiles
 * the script. With MARGAY_WRITE_CACHE set, a run writes the cache at its end, with everything that it has compiled; the
 * Makefile does so once.
 */
import fs from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const [entry, output] = process.argv.slice(2);
const common = {
  entryPoints: [entry],
  bundle: true,
  platform: "node",
  target: "node20",
  external: ["esbuild", "iced-x86", "koffi"],
  logLevel: "warning",
};
const typescript = {
  name: "typescript-by-require",
  setup(b) {
    b.onResolve({ filter: /^typescript$/ }, () => ({ path: "typescript", namespace: "require" }));
    b.onLoad({ filter: /.*/, namespace: "require" }, () => ({
      contents: `import { createRequire } from "node:module"; export default createRequire(import.meta.url)("typescript");`,
    }));
  },
};

/** Only the parser: the rest of yargs asks for the current directory when it is loaded, and there may be none. */
const yargsParser = {
  name: "yargs-parser-alone",
  setup(b) {
    b.onResolve({ filter: /^yargs\/helpers$/ }, () => ({ path: "yargs", namespace: "parser" }));
    b.onLoad({ filter: /.*/, namespace: "parser" }, () => ({
      contents: `export { default as Parser } from "yargs-parser";`,
      resolveDir: process.cwd(),
    }));
  },
};

if (output.endsWith("/")) await buildCommand();
else await build({ ...common, outfile: output, format: "esm", plugins: [typescript] });

async function buildCommand() {
  const name = path.basename(entry, ".ts");
  const old = fs.existsSync(output) ? fs.readdirSync(output).filter((file) => file.startsWith(`${name}-`)) : [];
  for (const file of old) fs.rmSync(path.join(output, file));
  const { outputFiles } = await build({
    ...common,
    // A script: `import()` becomes `require`, which is enough for our packages.
    format: "cjs",
    // Shorter to read.
    minifyWhitespace: true,
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "scriptUrl" },
    outdir: output,
    entryNames: "[name]-[hash]",
    outExtension: { ".js": ".cjs" },
    write: false,
    plugins: [typescript, yargsParser],
  });
  const [script] = outputFiles;
  fs.mkdirSync(output, { recursive: true });
  fs.writeFileSync(script.path, script.contents);
  fs.writeFileSync(path.join(output, `${name}.js`), starter(path.basename(script.path, ".cjs")), { mode: 0o755 });
}

/** `script`: name without its extension. */
function starter(script) {
  const { version } = JSON.parse(fs.readFileSync("package.json", "utf8"));
  return `#!/usr/bin/env node
// Made by toolchain/bundle.mjs.
import { readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import { fileURLToPath } from "node:url";

const [argument, ...more] = process.argv.slice(2);
if ((argument === "--version" || argument === "-V") && more.length === 0) {
  // Asked for most often, by scripts.
  try {
    writeSync(1, ${JSON.stringify(`${version}
`)});
    process.exit();
  } catch {
    // What is wrong with stdout is said below.
  }
}
const scriptUrl = new URL("./${script}.cjs", import.meta.url).href;
const filename = fileURLToPath(scriptUrl);
const cache = filename.replace(/cjs$/, "cache");
let cachedData;
try {
  cachedData = readFileSync(cache);
} catch {}
// esbuild writes ASCII.
const text = "(function (require, module, exports, scriptUrl) {" + readFileSync(filename, "latin1") + "\\n})";
const script = new Script(text, { filename, cachedData });
if (process.env.MARGAY_WRITE_CACHE !== undefined)
  process.on("exit", () => {
    writeFileSync(cache + "." + process.pid, script.createCachedData());
    renameSync(cache + "." + process.pid, cache);
  });
script.runInThisContext()(createRequire(scriptUrl), { exports: {} }, {}, scriptUrl);
`;
}
