import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    pool: "forks",
    // Every core: vitest itself would leave one idle, half the machine where there are two.
    maxWorkers: availableParallelism(),
    testTimeout: 180_000,
    hookTimeout: 180_000,
    experimental: { fsModuleCache: true },
    reporters: ["default", "./tests/reporter.ts"],
  },
});
