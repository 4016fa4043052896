export function f(): void { attr({ bits: 32 }); }
export function start(): void { attr({ bits: 32, naked: true }); asm`cli`; }
export function g(): void { start(); }
