declare function send(a: u64, b: u64): void;
export function sendPair(pair: ptr<arr<u64, 2>>): void {
  send(...pair[0]);
}
