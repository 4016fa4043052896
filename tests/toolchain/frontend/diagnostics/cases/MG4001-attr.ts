attr({ keep: true });
export function f(): void {
  const n: u64 = 1;
  attr({ keep: true });
}
export function g(): void { attr({ section: "text", inline: "maybe", keep: 1, speed: 3 }); }
