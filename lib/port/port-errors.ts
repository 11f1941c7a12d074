/** The errors of requests. */
import { RexPortError } from '../errors';

/** The port was closed or destroyed: it takes no more requests. `ERR_REXPORT_CLOSED` */
export class ClosedError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_CLOSED';
  constructor(command: string) {
    super('ERR_REXPORT_CLOSED', `the port of ${command} is closed and takes no more requests`);
  }
}

/** As many requests are pending as the children can hold and `maxQueue` allows. `ERR_REXPORT_QUEUE_FULL` */
export class QueueFullError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_QUEUE_FULL';
  /** How many requests may be pending, in the children and in the queue together. */
  readonly limit: number;

  constructor({ command, limit }: { readonly command: string; readonly limit: number }) {
    super('ERR_REXPORT_QUEUE_FULL', `the port of ${command} has its limit of ${limit} pending requests`);
    this.limit = limit;
  }
}

export interface BrokenFacts {
  readonly command: string;
  /** How often the child was restarted before it was given up. */
  readonly restarts: number;
  readonly withinMs: number;
  /** Why the last child ended, or was not even started. */
  readonly cause: Error;
}

/** The child was given up; every request fails at once, until `restart()`. `cause` is its last end. `ERR_REXPORT_BROKEN` */
export class BrokenError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_BROKEN';
  /** How often the child was restarted within `withinMs` before it was given up; 0 when it was never restarted. */
  readonly restarts: number;
  /** The option `withinMs`, in milliseconds. */
  readonly withinMs: number;

  constructor({ command, restarts, withinMs, cause }: BrokenFacts) {
    const often = restarts === 0 ? 'was not restarted' : `was given up after ${restarts} restarts in ${withinMs} ms`;
    super('ERR_REXPORT_BROKEN', `${command} ${often}: ${cause.message}`, { cause });
    this.restarts = restarts;
    this.withinMs = withinMs;
  }
}

/** Two children died of the same `idempotent` request; `cause` is the end of the second. `ERR_REXPORT_POISON` */
export class PoisonError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_POISON';
  /** How many children died with the request. */
  readonly crashes: number;

  constructor({
    command,
    crashes,
    cause,
  }: {
    readonly command: string;
    readonly crashes: number;
    readonly cause: Error;
  }) {
    super('ERR_REXPORT_POISON', `${crashes} children of ${command} died of this request: ${cause.message}`, { cause });
    this.crashes = crashes;
  }
}

/**
 * The child sent a message that no request waits for: the `cause` of the ExitError of requests that were with it.
 * `ERR_REXPORT_UNEXPECTED_REPLY`
 */
export class UnexpectedReplyError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_UNEXPECTED_REPLY';
  /** The bytes of that message. */
  readonly messageBytes: number;

  constructor({ command, messageBytes }: { readonly command: string; readonly messageBytes: number }) {
    super('ERR_REXPORT_UNEXPECTED_REPLY', `${command} sent a message of ${messageBytes} bytes that nobody waits for`);
    this.messageBytes = messageBytes;
  }
}
