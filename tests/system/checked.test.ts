/**
 * The checkers over the machines that the tests of the command start: `margay` runs in a process of its own, where no checker looks,
 * so the same jobs on the same machines run here too, under `strict`, and a violation fails the test (cluster.ts).
 */
import fs from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { runCluster } from "./cluster.ts";
import { temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));

describe("checked by the trace's checkers", () => {
  it.each([
    { program: "hello", nodes: 4, cores: 2, fanout: 4, waitStatus: 0 },
    { program: "hello", nodes: 3, cores: 8, fanout: 1, waitStatus: 0 },
    { program: "ring", nodes: 8, cores: 4, fanout: 2, waitStatus: 0 },
    { program: "files", nodes: 2, cores: 2, fanout: 4, waitStatus: 0 },
    { program: "nullderef", nodes: 2, cores: 2, fanout: 4, waitStatus: 11 },
  ])("$program on $nodes nodes of $cores cores", ({ program, nodes, cores, fanout, waitStatus }) => {
    const run = runCluster({ program, nodes, cores, fanout, root: dir });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus, count: nodes });
  });
});
