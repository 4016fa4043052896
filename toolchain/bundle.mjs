/**
 * Bundles a host-side program with esbuild: `node toolchain/bundle.mjs ENTRY OUTPUT.js`, or `… ENTRY FOLDER/` with code splitting, so
 * that a command loads only what it uses. npm packages stay outside. TypeScript's compiler is loaded by `require`: an `import` of its
 * 9 MB would first be scanned for export names, which takes longer than running it.
 */
import { build } from "esbuild";

const [entry, output] = process.argv.slice(2);
const split = output.endsWith("/");
await build({
  entryPoints: [entry],
  ...(split ? { outdir: output, splitting: true, chunkNames: "chunk-[hash]" } : { outfile: output }),
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning",
  plugins: [
    {
      name: "typescript-by-require",
      setup(b) {
        b.onResolve({ filter: /^typescript$/ }, () => ({ path: "typescript", namespace: "require" }));
        b.onLoad({ filter: /.*/, namespace: "require" }, () => ({
          contents: `import { createRequire } from "node:module"; export default createRequire(import.meta.url)("typescript");`,
        }));
      },
    },
  ],
});
