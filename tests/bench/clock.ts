/** The host's clock, for figures only: measured code cannot read it, and no test depends on it. */
export const hostSeconds = (): number => performance.now() / 1000;
