/** The errors of a queue. What a worker's own port raises keeps its code on the way to the producer. */
import { RexPortError } from '../errors';

export interface DeadLetterFacts {
  readonly queue: string;
  /** The row's number in its job, from 0. */
  readonly row: number;
  /** How often it was given to a worker. */
  readonly deliveries: number;
  /** Of the failure at the worker. */
  readonly code: string;
  readonly reason: string;
}

/**
 * A row that no worker could answer. `code` is that of the last failure at a worker (`ERR_REXPORT_POISON`,
 * `ERR_REXPORT_TIMEOUT`, `ERR_REXPORT_EXIT`, `ERR_REXPORT_MESSAGE_TOO_LARGE`), `ERR_REXPORT_WORKER_LOST` where the row
 * took each of its workers away, and `ERR_REXPORT_DEAD_LETTER` for a failure without such a code.
 */
export class DeadLetterError extends RexPortError {
  /** The name of the queue. */
  readonly queue: string;
  /** The row's number in its job, from 0. */
  readonly row: number;
  /** How often it was given to a worker. */
  readonly deliveries: number;

  constructor({ queue, row, deliveries, code, reason }: DeadLetterFacts) {
    const often = deliveries === 1 ? '1 delivery' : `${deliveries} deliveries`;
    const literal = isOurs(code) ? code : 'ERR_REXPORT_DEAD_LETTER';
    super(literal, `row ${row} of queue ${queue} is a dead letter after ${often}: ${reason}`);
    this.queue = queue;
    this.row = row;
    this.deliveries = deliveries;
  }
}

/** The connection, or the queue itself, was closed: no reply can come any more. `ERR_REXPORT_CLOSED` */
export class QueueClosedError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_CLOSED';

  constructor(queue: string, what: string, cause?: unknown) {
    super('ERR_REXPORT_CLOSED', `queue ${queue}: ${what}`, cause === undefined ? undefined : { cause });
  }
}

function isOurs(code: string): code is `ERR_REXPORT_${string}` {
  return code.startsWith('ERR_REXPORT_');
}
