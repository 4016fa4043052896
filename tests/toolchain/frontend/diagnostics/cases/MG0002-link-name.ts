export function first(): void { attr({ symbol: "start", keep: true }); }
export function second(): void { attr({ symbol: "start", keep: true }); }
/** @symbol start */
export let third: u64 = 0;
