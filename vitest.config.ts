import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Transformed modules are kept here. vitest does not make the folder before several workers write into it.
const moduleCache = "node_modules/.cache/vitest-modules";
mkdirSync(moduleCache, { recursive: true });

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    pool: "forks",
    // Every core: vitest itself would leave one idle, half the machine where there are two.
    maxWorkers: availableParallelism(),
    testTimeout: 180_000,
    hookTimeout: 180_000,
    experimental: { fsModuleCache: true, fsModuleCachePath: moduleCache },
    reporters: ["default", "./tests/reporter.ts"],
  },
});
