class Device { start(): void {} }
class Uart extends Device { start(): void {} }
export function f(d: ptr<Uart>): void { d.start(); }
