/** How a child ended. Exactly one of `exitCode` and `signal` is set, unless there never was a child: then neither is. */
export interface ExitStatus {
  /** What the program gave to exit(2), 0 to 255; null when a signal ended it or it was never started. */
  readonly exitCode: number | null;
  /** The signal that ended it. A shell's `$?` is then 128 + `os.constants.signals[signal]`. */
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from the spawn to the exit. */
  readonly durationMs: number;
}

/** The status of a port that never had a child: destroyed before the spawn, or the spawn failed. */
export const neverStarted: ExitStatus = { exitCode: null, signal: null, durationMs: 0 };

export function isSuccess(status: ExitStatus, successCodes: readonly number[]): boolean {
  return status.exitCode !== null && successCodes.includes(status.exitCode);
}
