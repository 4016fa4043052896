/**
 * The export for trace viewers, opened in a real browser: Chromium loads speedscope, speedscope loads the file. What
 * the page then holds (its own export) is compared with the file, event by event. Needs no network.
 */
import fs from "node:fs";
import path from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChromeEvent } from "../../emulator/trace/perfetto.ts";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";

const browser = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => (process.env["PATH"] ?? "").split(path.delimiter).map((folder) => path.join(folder, name)))
  .find((file) => fs.existsSync(file));
if (browser === undefined) console.log("tests/trace/browser skipped: no Chromium on this host");

/** speedscope's file format: https://www.speedscope.app/file-format-schema.json. */
interface Speedscope {
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly {
    readonly type: string;
    readonly name: string;
    readonly unit: string;
    readonly events: readonly { readonly type: "O" | "C"; readonly frame: number; readonly at: number }[];
  }[];
}
/** Begin or end of a slice: time in µs from the thread's first slice, and the name with the arguments. */
type Event = readonly [phase: "B" | "E", at: string, label: string];

/**
 * Per thread, as speedscope names threads and frames. Slices that take no time (steps of the service node, which the
 * host does) are left out: the page does not hold them.
 */
function threadsOf(events: readonly ChromeEvent[]): Map<string, Event[]> {
  const named = (name: string, key: "pid" | "tid"): Map<number, unknown> =>
    new Map(events.filter((e) => e.ph === "M" && e.name === name).map((e) => [e[key], e.args!["name"]]));
  const processes = named("process_name", "pid");
  const names = named("thread_name", "tid");
  const threads = new Map<string, Event[]>();
  const starts = new Map<string, number>();
  for (const { ph, pid, tid, ts, name, args } of events) {
    if (ph !== "B" && ph !== "E") continue;
    const thread = `${processes.get(pid)} (pid ${pid}), ${names.get(tid)} (tid ${tid})`;
    if (!starts.has(thread)) starts.set(thread, ts);
    const list = threads.get(thread) ?? [];
    threads.set(thread, list);
    const event: Event = [ph, (ts - starts.get(thread)!).toFixed(3), `${name} ${JSON.stringify(args)}`];
    const [phase, at, label] = list.at(-1) ?? [];
    if (ph === "E" && phase === "B" && at === event[1] && label === event[2]) list.pop();
    else list.push(event);
  }
  return threads;
}

describe.skipIf(browser === undefined)("speedscope in Chromium", () => {
  const folder = temporaryFolder();
  let context: BrowserContext;
  beforeAll(async () => {
    context = await chromium.launchPersistentContext(path.join(folder, "profile"), {
      executablePath: browser!,
      headless: true,
      chromiumSandbox: false,
      offline: true,
      // High enough for every row of a table: the page builds those that can be seen.
      viewport: { width: 800, height: 4000 },
      args: [
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
    context.setDefaultTimeout(120_000);
  });
  afterAll(async () => {
    await context?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** What the page holds after it has loaded `file`, and what it complained about. */
  async function load(file: string): Promise<{ page: Page; held: Speedscope; complaints: string[] }> {
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (["warning", "error"].includes(message.type()) && !message.text().includes("WebGL"))
        complaints.push(message.text());
    });
    await page.goto(`file://${path.join(packageRoot, "node_modules/speedscope/dist/release/index.html")}`);
    await page.setInputFiles("input[type=file]", file);
    const download = page.waitForEvent("download");
    await page.getByText("Export", { exact: false }).click();
    const saved = path.join(folder, `${path.basename(file)}.held`);
    await (await download).saveAs(saved);
    return { page, held: JSON.parse(fs.readFileSync(saved, "utf8")) as Speedscope, complaints };
  }

  it.each([
    ["ring", ["--nodes", "2"]],
    ["shootdown", ["--nodes", "1", "--cores", "4"]],
  ])("%s: the page holds every slice of the file, nested as in the file", async (job, options) => {
    const trace = path.join(folder, `${job}.trace`);
    const file = path.join(folder, `${job}.json`);
    expect(margay(["trace", "record", ...options, "-o", trace, job]).status).toBe(0);
    expect(margay(["trace", "export", "--perfetto", file, trace]).status).toBe(0);
    const { traceEvents } = JSON.parse(fs.readFileSync(file, "utf8")) as { traceEvents: ChromeEvent[] };
    const expected = threadsOf(traceEvents);
    const { page, held, complaints } = await load(file);
    expect(complaints).toEqual([]);

    const shown = new Map(
      held.profiles.map(({ name, unit, events }) => {
        expect(unit).toBe("microseconds");
        return [
          name,
          events.map(
            ({ type, frame, at }): Event => [type === "O" ? "B" : "E", at.toFixed(3), held.shared.frames[frame]!.name],
          ),
        ] as const;
      }),
    );
    expect([...shown.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [thread, events] of expected) expect(shown.get(thread), thread).toEqual(events);
    const slices = traceEvents.filter(({ ph }) => ph === "B").length;
    const empty = slices - [...expected.values()].flat().length / 2;
    expect([slices > 200, empty < 8]).toEqual([true, true]);
    const labels = (events: Iterable<Event>): Set<string> => new Set([...events].map(([, , label]) => label));
    expect(new Set(held.shared.frames.map(({ name }) => name))).toEqual(labels([...expected.values()].flat()));

    // What a user sees: the list of threads, and a row for each frame of the first one.
    const [first] = held.profiles;
    await page.getByText(`${first!.name} (1/${expected.size})`).waitFor();
    const threads = await page.locator("tbody tr").evaluateAll((list) => list.map((row) => row.getAttribute("title")));
    expect(threads.sort()).toEqual([...expected.keys()].sort());
    await page.getByText("Sandwich", { exact: false }).click();
    await page.locator("table > tr").first().waitFor();
    const rows = await page.locator("table > tr").evaluateAll((list) => list.map((row) => row.lastChild?.textContent));
    expect(new Set(rows)).toEqual(labels(expected.get(first!.name)!));
    await page.close();
  });
});
