import { ExitError, TimeoutError } from '../errors';

/**
 * What a row's failure means.
 * - `again`: the fault of another row; the pool is asked once more.
 * - `retry`: another host may do better.
 * - `dead`: no host will.
 * - `broken`: the fault of this host.
 */
export type Verdict = 'again' | 'retry' | 'dead' | 'broken';

const DEAD_CODES: readonly unknown[] = [
  'ERR_REXPORT_POISON',
  'ERR_REXPORT_MESSAGE_TOO_LARGE',
  'ERR_REXPORT_INVALID_MESSAGE',
];
const BROKEN_CODES: readonly unknown[] = ['ERR_REXPORT_BROKEN', 'ERR_REXPORT_CLOSED'];
const QUEUE_FULL = 'ERR_REXPORT_QUEUE_FULL';

export function judge(error: unknown, poolState: string | undefined): Verdict {
  const { code } = (error ?? {}) as { code?: unknown };
  if (BROKEN_CODES.includes(code) || poolState === 'closing' || poolState === 'closed') return 'broken';
  if (DEAD_CODES.includes(code)) return 'dead';
  // In the queue it waited behind others; behind others in the child, one of those was to blame.
  if (error instanceof TimeoutError && error.phase === 'queue') return 'again';
  if (error instanceof ExitError && error.behind > 0) return 'again';
  return code === QUEUE_FULL ? 'again' : 'retry';
}

/** As the producer learns it. */
export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : 'ERR_REXPORT_DEAD_LETTER';
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
