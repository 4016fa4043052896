export function f(): void;
declare function elsewhere(): void;
export function g(): void { elsewhere(); }
