/**
 * The debug sections of an image: one unit for the types, then one unit per source file with its functions and
 * variables, so that equal names in several files stay separate. DWARF 5, sections 3.1 and 7.5.
 */
import { Attribute, Form, LANGUAGE_C11, Tag } from "../lib/dwarf.ts";
import type { DebugConstant } from "./debug.ts";
import { type Attributed, DieWriter } from "./debug-dies.ts";
import { debugFrame } from "./debug-frame.ts";
import { naming, type UnitContext, writeFunctions } from "./debug-functions.ts";
import { LineTables, UnitFiles } from "./debug-line.ts";
import { addressExpression, joinRanges, LocationLists, type Range, RangeLists } from "./debug-location.ts";
import { declared, named, typed, writeTypes } from "./debug-types.ts";
import type { PlacedChunk, PlacedImage } from "./layout.ts";
import type { Chunk, ObjectModule } from "./object.ts";

interface Unit {
  /** Index into the module's files; -1: no source. */
  readonly file: number;
  readonly functions: PlacedChunk[];
  readonly data: PlacedChunk[];
  readonly constants: DebugConstant[];
}

/** Sections by name, in their order in the file; empty ones are left out. */
export function debugSections(object: ObjectModule, image: PlacedImage): [name: string, bytes: Uint8Array][] {
  const dies = new DieWriter();
  const lines = new LineTables();
  const ranges = new RangeLists();
  const locations = new LocationLists();
  const chunks = image.sections.flatMap((section) => section.chunks);
  const types = object.types ?? [];
  const begin = (files: UnitFiles, extent: readonly Attributed[]): void => {
    dies.openUnit();
    dies.die(Tag.COMPILE_UNIT, true, [
      [Attribute.PRODUCER, Form.STRP, "margay"],
      [Attribute.LANGUAGE, Form.DATA2, LANGUAGE_C11],
      [Attribute.NAME, Form.STRP, files.home],
      [Attribute.COMP_DIR, Form.STRP, "."],
      [Attribute.STMT_LIST, Form.SEC_OFFSET, lines.offset],
      ...extent,
    ]);
  };
  const end = (files: UnitFiles, functions: readonly PlacedChunk[]): void => {
    dies.end();
    dies.closeUnit();
    lines.add(files, functions);
  };
  if (types.length > 0) {
    const files = new UnitFiles(object.files, -1, object.name);
    begin(files, []);
    writeTypes(dies, types, files);
    end(files, []);
  }
  for (const unit of unitsOf(chunks, object.constants ?? [])) {
    const files = new UnitFiles(object.files, unit.file, object.name);
    const { base, extent } = extentOf(unit.functions, ranges);
    begin(files, extent);
    const context: UnitContext = { dies, types, files, addresses: image.addresses, ranges, locations, base };
    for (const constant of unit.constants) writeConstant(context, constant);
    for (const { chunk } of unit.data) writeDatum(context, chunk);
    writeFunctions(context, unit.functions);
    end(files, unit.functions);
  }
  const { info, abbreviations, strings } = dies.finish();
  const sections: [name: string, bytes: Uint8Array][] = [
    [".debug_info", info],
    [".debug_abbrev", abbreviations],
    [".debug_str", strings],
    [".debug_rnglists", ranges.finish()],
    [".debug_loclists", locations.finish()],
    [".debug_line", lines.finish()],
    [".debug_frame", debugFrame(chunks)],
  ];
  return sections.filter(([, bytes]) => bytes.length > 0);
}

/** In the order of the module's files. */
function unitsOf(chunks: readonly PlacedChunk[], constants: readonly DebugConstant[]): Unit[] {
  const units = new Map<number, Unit>();
  const of = (file: number): Unit => {
    let unit = units.get(file);
    if (unit === undefined) units.set(file, (unit = { file, functions: [], data: [], constants: [] }));
    return unit;
  };
  for (const constant of constants) of(constant.file).constants.push(constant);
  for (const placed of chunks) {
    const { chunk } = placed;
    if (!chunk.isFunction && chunk.datum === undefined) continue;
    const unit = of(fileOf(chunk));
    (chunk.isFunction ? unit.functions : unit.data).push(placed);
  }
  return [...units.values()].sort((a, b) => a.file - b.file);
}
function fileOf({ debug, datum, lines }: Chunk): number {
  const said = debug?.file ?? datum?.file ?? -1;
  return said >= 0 ? said : (lines.find(({ file }) => file >= 0)?.file ?? -1);
}

/** low_pc is the lowest address; the unit's lists count from it. */
function extentOf(functions: readonly PlacedChunk[], ranges: RangeLists): { base: bigint; extent: Attributed[] } {
  if (functions.length === 0) return { base: 0n, extent: [] };
  const base = functions.reduce((least, { address }) => (address < least ? address : least), functions[0].address);
  const covered = joinRanges(
    functions.map(
      ({ chunk, address }): Range => ({ start: Number(address - base), end: Number(address - base) + chunk.size }),
    ),
  );
  const extent: Attributed[] = [[Attribute.LOW_PC, Form.ADDR, base]];
  if (covered.length === 1) extent.push([Attribute.HIGH_PC, Form.UDATA, covered[0].end]);
  else extent.push([Attribute.RANGES, Form.SEC_OFFSET, ranges.add(0, covered)]);
  return { base, extent };
}

function writeConstant({ dies, files }: UnitContext, { name, type, value, file, line }: DebugConstant): void {
  dies.die(Tag.VARIABLE, false, [
    ...named(name),
    ...declared(files, file, line),
    ...typed(type),
    [Attribute.CONST_VALUE, value < 0n ? Form.SDATA : Form.UDATA, value],
  ]);
}
function writeDatum({ dies, files, addresses }: UnitContext, { symbol, sourceName, datum }: Chunk): void {
  const location = addressExpression(symbol, 0n, addresses);
  if (datum === undefined || location === null) return;
  dies.die(Tag.VARIABLE, false, [
    ...naming(sourceName),
    ...declared(files, datum.file, datum.line),
    ...typed(datum.type),
    [Attribute.LOCATION, Form.EXPRLOC, location],
  ]);
}
