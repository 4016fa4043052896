/** What a user did wrong, as one line: `margay: what: where: what to do`. */

/** Exit statuses of `margay` beside the job's own (ARCHITECTURE.md section 6). */
export const EXIT_REFUSED = 2;
export const EXIT_MACHINE_FAULT = 3;
export const EXIT_LIMIT = 124;
export const EXIT_INTERRUPTED = 130;

/** Refused before anything was started, or a load that was refused. */
export class UserError extends Error {
  constructor(
    readonly what: string,
    readonly where: string,
    readonly todo: string,
    readonly status: number = EXIT_REFUSED,
  ) {
    super([what, where, todo].filter(Boolean).join(": "));
  }
}

/** One line for stderr; never a stack trace for a UserError. */
export const describeError = (error: unknown): string => {
  if (error instanceof UserError) return `margay: ${error.message}`;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `margay: internal error: ${text}`;
};
