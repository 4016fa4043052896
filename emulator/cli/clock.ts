/** The host's clock, for the summary and the progress line only: nothing inside the machine can read it. */
export const hostSeconds = (): number => performance.now() / 1000;
