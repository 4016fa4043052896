/** The host's clock, for figures only: nothing that is measured sees it, and no test depends on it. */
export const hostSeconds = (): number => performance.now() / 1000;
