class Range {
  start: u64 = 0;
  end: u64 = 0;
}
export function length(range: ptr<Range>): u64 {
  const { start, end } = range;
  return end - start;
}
