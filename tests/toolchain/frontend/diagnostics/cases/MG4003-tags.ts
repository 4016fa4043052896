/** @sektion .data */
export let a: u64 = 0;
/** @section data */
export let b: u64 = 0;
@sealed class Box { @volatile x: u64 = 0; }
export function f(p: ptr<Box>): void {}
declare function sealed(target: unknown, context: unknown): void;
declare function volatile(target: unknown, context: unknown): void;
