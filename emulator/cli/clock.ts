/** The host's clock, for the summary and the progress line only: nothing inside the machine sees it. */
export const hostSeconds = (): number => performance.now() / 1000;
