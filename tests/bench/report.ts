/** Result of a section of the benchmark: rows for the table on stdout and for `JSON=file`. */

export interface Figure {
  readonly name: string;
  /** Null: not measured, `note` says why. */
  readonly value: number | null;
  readonly unit: string;
  /** The value to compare with, measured in the same run. */
  readonly peer?: { readonly name: string; readonly value: number | null };
  readonly note?: string;
}
export interface Section {
  readonly title: string;
  readonly how: string;
  readonly figures: readonly Figure[];
}

const number = (value: number | null): string => {
  if (value === null) return "-";
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3);
};

/** One line per figure, columns aligned. */
export function formatSection(section: Section): string {
  const rows = section.figures.map((f) => [
    f.name,
    `${number(f.value)} ${f.unit}`,
    f.peer ? `${f.peer.name} ${number(f.peer.value)}` : "",
    f.note ?? "",
  ]);
  const width = [0, 1, 2].map((column) => Math.max(...rows.map((r) => r[column]!.length)));
  const lines = rows.map((r) =>
    `  ${r[0]!.padEnd(width[0]!)}  ${r[1]!.padStart(width[1]!)}  ${r[2]!.padEnd(width[2]!)}  ${r[3]}`.trimEnd(),
  );
  return [`${section.title} (${section.how})`, ...lines].join("\n");
}

export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
