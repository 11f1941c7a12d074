import type { ExitStatus } from '../process/exit-status';
import type { BrokenError } from './port-errors';
import type { Request } from './request';
import type { RestartOptions } from './restart-policy';
import type { SessionSettings } from './session-events';

export interface LaneSettings extends SessionSettings, RestartOptions {
  /** A child that was given so many requests is replaced. */
  readonly maxRequests: number;
  /** A child of this age is replaced. */
  readonly maxAgeMs: number | undefined;
  /** By how large a share of itself each of these limits is drawn lower, anew for each child: 0 takes them as they are. */
  readonly jitter: number;
}

export type LaneState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closed';

/** A child, for those who watch. Generations count from 1 in each lane. */
export interface Generation {
  readonly lane: number;
  readonly generation: number;
  readonly pid: number | undefined;
}

/** The next child will be started, `delayMs` from now. */
export interface Restart {
  readonly lane: number;
  readonly generation: number;
  readonly delayMs: number;
  /** Why; undefined where it was planned. */
  readonly cause?: Error;
}

export interface LaneEvents {
  spawned(child: Generation): void;
  exited(child: Generation, status: ExitStatus): void;
  restarting(next: Restart): void;
  unexpected(child: Generation, message: Buffer): void;
  broken(error: BrokenError, lane: number): void;
  /** The lane's child is to be replaced, when its turn comes. */
  replacementDue(lane: number): void;
  /** There may be room for queued requests. */
  progressed(replies: number): void;
  /** Requests that no child holds any more and that may go to another, in order. */
  handBack(requests: readonly Request[]): void;
  /** The poison among the suspects is found: the others are innocent. */
  cleared(): void;
}
