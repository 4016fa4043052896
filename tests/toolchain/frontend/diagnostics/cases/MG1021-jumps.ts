export function f(n: u64): void {
  block: {
    if (n > 1) break block;
    switch (n) {
      case 0:
        break;
    }
  }
  continue;
}
