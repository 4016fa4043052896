class Range {
  start: u64 = 0;
  end: u64 = 0;
}
export function length(range: ptr<Range>): u64 {
  const start = range.start;
  const end = range.end;
  return end - start;
}
