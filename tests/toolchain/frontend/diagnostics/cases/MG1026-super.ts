class Device { start(): void {} }
class Uart extends Device {
  open(): void { super.start(); }
}
export function f(u: ptr<Uart>): void { u.open(); }
