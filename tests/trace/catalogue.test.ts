/** emulator/trace/EVENTS.md matches the table of events. */
import path from "node:path";
import { expect, it } from "vitest";
import { eventTable, FieldFormatNames } from "../../emulator/abi/events.ts";
import { eventCatalogue } from "../../emulator/trace/catalogue.ts";

const file = path.resolve(import.meta.dirname, "../../emulator/trace/EVENTS.md");

it("the catalogue of events is up to date", async () => {
  await expect(
    eventCatalogue(),
    "the table of events has changed: make test T=trace/catalogue UPDATE=1",
  ).toMatchFileSnapshot(file);
});
it("holds every event, and says how every format is shown", () => {
  const text = eventCatalogue();
  for (const { name } of eventTable) expect(text).toContain(`| \`${name}\` |`);
  for (const name of FieldFormatNames.values())
    if (name !== "NONE") expect(text).toMatch(new RegExp(`^\\| ${name} \\|`, "m"));
});
