/** @align 3 */
export let a: u64 = 0;
@align(12) class Box { x: u64 = 0; }
export function f(p: ptr<Box>): void { attr({ align: 5 }); }
