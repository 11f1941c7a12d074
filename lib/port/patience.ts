/**
 * How long one child is waited for, and what it costs the child that a request was given up.
 *
 * - A late reply would answer the next request: a deadline that passes costs the child, once it has answered before.
 * - A child that never answered is still starting: it has `startTimeoutMs` from its first request on, where that was set, a
 *   deadline has passed, or a request bounds its run.
 * - `runTimeoutMs` bounds the run of a request, whether or not a caller still waits for it: it costs the child, and then no other deadline does.
 * - An abort costs the child when nobody else waits for a reply.
 * - With ids nothing is shifted, and nothing of this costs the child, until it lets several deadlines pass in a row without
 *   one message.
 */
import { TimeoutError } from '../errors';
import { Deadlines } from './deadlines';
import type { InFlight } from './in-flight';
import type { GiveUpReason, Request, Wait } from './request';

export interface PatienceSettings {
  readonly command: string;
  readonly startTimeoutMs: number;
  /** Whether a child that never answers is ended after that, though no deadline has passed. */
  readonly isStartBounded: boolean;
}

/** The session, as its patience sees it. */
export interface Patient {
  readonly hasAnswered: boolean;
  readonly usesIds: boolean;
  readonly inFlight: InFlight;
  waitOf(request: Request): Wait;
  /** That many milliseconds from now the child has been starting for too long. */
  boundStart(leftMs: number): void;
  /** Requests have been given up by their run's deadline. */
  gaveUp(): void;
}

/** Why a child is to be ended. */
export interface Verdict {
  readonly kind: 'hangs' | 'is unwanted';
  readonly error: Error | undefined;
}

/** With ids: after how many deadlines in a row, with no message between them, a child is known to hang. */
const MAX_MISSED = 3;

export class Patience {
  readonly #settings: PatienceSettings;
  readonly #patient: Patient;
  readonly #runDeadlines = new Deadlines<Request>((requests) => this.#overran(requests));
  #firstGivenAt = 0;
  #hasStarted = false;
  #verdict: Verdict | undefined;
  /** With ids: deadlines that passed with no message between them, of requests that were written one after the other. */
  #missed = 0;
  /** A deadline counts when its request was written after the last miss: many at one time are one. */
  #countsFrom = 0;

  constructor(settings: PatienceSettings, patient: Patient) {
    this.#settings = settings;
    this.#patient = patient;
  }

  /** The child was given the request. */
  written(request: Request): void {
    if (this.#patient.hasAnswered) {
      if (request.runTimeoutMs !== undefined) this.#startRun(request, performance.now());
      return;
    }
    if (this.#firstGivenAt === 0) this.#firstGivenAt = performance.now();
    // Its run begins with the first answer: a bound for it is none where that may stay away forever.
    if (this.#settings.isStartBounded || request.runTimeoutMs !== undefined) this.#boundStart();
  }

  /** Something came from the child. */
  heard(): void {
    this.#missed = 0;
  }

  /**
   * The child has answered. If for the first time, the run of those it has begins now. One whose deadline passed meanwhile
   * has its time once more, since the start of the child was no fault of it: a child that hangs at it is ended then.
   */
  started(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    const nowMs = performance.now();
    for (const request of this.#patient.inFlight.written.toArray()) {
      const isLate = request.error instanceof TimeoutError && !this.#patient.usesIds;
      const timeoutMs = request.runTimeoutMs ?? (isLate ? request.deadline?.series.afterMs : undefined);
      if (timeoutMs !== undefined) request.runDeadline = this.#runDeadlines.set(request, timeoutMs, nowMs);
    }
  }

  answered(request: Request): void {
    if (request.runDeadline !== undefined) this.#runDeadlines.clear(request.runDeadline);
  }

  progressed(request: Request): void {
    if (request.runDeadline === undefined) return;
    this.#runDeadlines.clear(request.runDeadline);
    this.#startRun(request, performance.now());
  }

  /** A request that the child was given was settled from outside. */
  givenUp(request: Request, reason: GiveUpReason): void {
    const { error } = request;
    const { usesIds, hasAnswered, inFlight } = this.#patient;
    if (usesIds) {
      this.answered(request);
      if (reason === 'abort' || request.sequence < this.#countsFrom) return;
      this.#missed += 1;
      this.#countsFrom = inFlight.nextSequence;
      if (this.#missed >= MAX_MISSED) this.#verdict = { kind: 'hangs', error };
    } else if (reason === 'run timeout') this.#verdict = { kind: 'hangs', error };
    else if (reason === 'abort') this.#verdict ??= { kind: 'is unwanted', error };
    else if (!hasAnswered) this.#boundStart();
    else if (request.runTimeoutMs === undefined) this.#verdict = { kind: 'hangs', error };
  }

  /** What follows from all that was given up since this was asked. */
  takeVerdict(): Verdict | undefined {
    const verdict = this.#verdict;
    this.#verdict = undefined;
    return verdict;
  }

  end(): void {
    this.#runDeadlines.end();
  }

  #startRun(request: Request, nowMs: number): void {
    if (request.runTimeoutMs === undefined) return;
    request.runDeadline = this.#runDeadlines.set(request, request.runTimeoutMs, nowMs);
  }

  #boundStart(): void {
    const elapsedMs = performance.now() - this.#firstGivenAt;
    this.#patient.boundStart(Math.max(1, this.#settings.startTimeoutMs - elapsedMs));
  }

  /** Their callers may have given up before: the child hangs all the same. */
  #overran(requests: readonly Request[]): void {
    const { command } = this.#settings;
    for (const request of requests) {
      const timeoutMs = request.runTimeoutMs ?? 0;
      const error = new TimeoutError({ command, timeoutMs, limit: 'runTimeoutMs', ...this.#patient.waitOf(request) });
      request.giveUp('run timeout', error);
      if (!this.#patient.usesIds) this.#verdict = { kind: 'hangs', error: request.error ?? error };
    }
    this.#patient.gaveUp();
  }
}
