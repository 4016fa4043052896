declare function print(text: ptr<u8>): void;
declare function printNumber(n: u64): void;
export function report(n: u64): void {
  print("jobs: " + n);
}
