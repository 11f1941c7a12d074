/** What a death means for the requests and for the error. */
import { ExitError } from '../errors';
import type { FrameParser } from '../framing/frame-parser';
import { PoisonError } from './port-errors';
import type { Request } from './request';
import type { SessionEnd } from './session-events';

/** Two children that crashed with the same request, the second one alone with it, are no accident. */
const POISON_CRASHES = 2;

export interface Aftermath {
  /** Requests for the next child, in order. */
  readonly again: readonly Request[];
  /** Whether a poisonous request was found. */
  readonly isPoison: boolean;
}

/**
 * What becomes of the requests that a child held. What it has not seen goes to the next one. What it may have seen is
 * rejected, for it may have been done; unless the caller said that it may be done twice.
 */
export function settleAfterDeath({ kind, error, written, unwritten }: SessionEnd, command: string): Aftermath {
  const again: Request[] = [];
  let isPoison = false;
  for (const request of written) {
    if (kind !== 'ended') request.crashes += 1;
    if (!request.isIdempotent) {
      request.reject(error);
    } else if (request.crashes >= POISON_CRASHES) {
      isPoison = true;
      request.reject(new PoisonError({ command, crashes: request.crashes, cause: error }));
    } else {
      again.push(request);
    }
  }
  return { again: [...again, ...unwritten], isPoison };
}

/** Of a cut frame and a failed exit the exit wins, and the cut is its cause; with a good exit it is the other way round. */
export function withTruncation(error: Error, parser: FrameParser, isSuccess: boolean): Error {
  if (!(error instanceof ExitError)) return error;
  let truncation: unknown;
  try {
    parser.end();
    return error;
  } catch (cut) {
    truncation = cut;
  }
  const [winner, cause] = isSuccess ? [truncation as Error, error] : [error, truncation];
  return Object.defineProperty(winner, 'cause', { value: cause, configurable: true, writable: true });
}
