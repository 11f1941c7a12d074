/** One queue in front of several lanes: what Port and PortPool have in common, which is all but their faces. */
import { onAbort } from '../abort';
import { AbortError, TimeoutError } from '../errors';
import type { Message } from '../framing/frame-writer';
import { AbortWatch } from './abort-watch';
import type { DispatcherEvents, DispatcherSettings, PortState } from './dispatcher-events';
import { IdleLanes } from './idle-lanes';
import { Lane } from './lane';
import type { LaneEvents } from './lane-events';
import { ClosedError, QueueFullError, type BrokenError } from './port-errors';
import { Request, type RequestOptions, type RequestPhase } from './request';
import { RequestQueue } from './request-queue';
import { Statistics, type PortStatistics } from './statistics';
import { Turns } from './turns';

/** From the best to the worst: several lanes are as well as the best of them. */
const LANE_STATES = ['ready', 'starting', 'backoff', 'idle', 'broken'] as const;

const FOREVER_MS = 2 ** 31 - 1;

export class Dispatcher {
  pending = 0;

  readonly #settings: DispatcherSettings;
  readonly #lanes: readonly Lane[];
  readonly #queue = new RequestQueue();
  readonly #aborts = new AbortWatch();
  readonly #turns: Turns;
  readonly #idleLanes: IdleLanes;
  readonly #statistics: Statistics;
  /** What the last lane broke of, when all are broken. */
  #brokenBy: BrokenError | undefined;
  /** Keeps this process alive while requests are pending; children and pipes do not. */
  #keepAlive: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #isDestroyed = false;
  #isClosed = false;
  #silenceTimer: NodeJS.Timeout | undefined;
  #onDrained: (() => void) | undefined;
  #stopListening: (() => void) | undefined;

  constructor(settings: DispatcherSettings, events: DispatcherEvents) {
    this.#settings = settings;
    const laneEvents: LaneEvents = {
      ...events,
      spawned: (child) => {
        this.#idleLanes.watch();
        events.spawned(child);
      },
      broken: (error, lane) => this.#laneBroken(error, lane, events),
      progressed: (replies) => {
        if (replies > 0) this.#silenceTimer?.refresh();
        this.#turns.advance();
        this.#pump();
      },
      replacementDue: (lane) => this.#turns.add(lane),
      handBack: (requests) => this.#putBack(requests),
      cleared: () => this.#queue.forEach((request) => (request.crashes = 0)),
    };
    this.#lanes = Array.from({ length: settings.size }, (_, index) => new Lane(index, settings, laneEvents));
    this.#turns = new Turns(this.#lanes, settings.minUptimeMs);
    this.#idleLanes = new IdleLanes(this.#lanes, settings.minSize, settings.idleTimeoutMs);
    this.#statistics = new Statistics(settings.command, this.#lanes);
    const { signal } = settings;
    if (signal?.aborted) void this.destroy(new AbortError(signal));
    else if (signal) this.#stopListening = onAbort(signal, () => void this.destroy(new AbortError(signal)));
  }

  get queued(): number {
    return this.#queue.length;
  }

  get restarts(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.restarts, 0);
  }

  get state(): PortState {
    if (this.#isClosed) return 'closed';
    if (this.#closing !== undefined || this.#isDestroyed) return 'closing';
    return LANE_STATES.find((state) => this.#lanes.some((lane) => lane.state === state)) ?? 'closed';
  }

  statistics(): PortStatistics {
    return this.#statistics.take();
  }

  /** How many requests the children can hold together. */
  get capacity(): number {
    return this.#settings.size * this.#settings.maxInFlight;
  }

  /** @returns the reply, owned by nobody else, perhaps a view on a larger chunk */
  request(message: Message, { signal, timeoutMs, idempotent = false }: RequestOptions): Promise<Buffer> {
    const refusal = this.#refusal(signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const request = new Request(message, idempotent, this.#queue, {
        resolve: (reply) => {
          this.#settled(request, signal, false);
          resolve(reply);
        },
        reject: (error) => {
          this.#settled(request, signal, true);
          reject(error);
        },
      });
      this.#statistics.asked(request);
      this.pending += 1;
      if (this.pending === 1) this.#setKeepAlive(true);
      const limitMs = timeoutMs ?? this.#settings.requestTimeoutMs;
      if (limitMs !== undefined) request.setDeadline(limitMs, (phase) => this.#timeout(limitMs, phase));
      if (signal !== undefined) this.#aborts.add(signal, request);
      this.#queue.push(request);
      this.#pump();
    });
  }

  restart(): void {
    if (this.#closing !== undefined || this.#isDestroyed) throw new ClosedError(this.#settings.command);
    this.#brokenBy = undefined;
    for (const lane of this.#lanes) lane.restart();
    if (this.state === 'idle') this.#lanes[0]?.start();
    this.#pump();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  destroy(error: Error = new ClosedError(this.#settings.command)): Promise<void> {
    this.#isDestroyed = true;
    this.#endTimers();
    if (!this.#isClosed) this.#setKeepAlive(true);
    const gone = Promise.all(this.#lanes.map((lane) => lane.destroy(error)));
    this.#rejectQueued(error);
    this.#closing ??= gone.then(() => this.#closed());
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#setKeepAlive(true);
    const { closeTimeoutMs } = this.#settings;
    this.#silenceTimer = setTimeout(() => void this.destroy(), closeTimeoutMs).unref();
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onDrained = resolve));
    clearTimeout(this.#silenceTimer);
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    this.#closed();
  }

  #closed(): void {
    this.#isClosed = true;
    // A child that was starting has come up meanwhile.
    this.#endTimers();
    this.#stopListening?.();
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
    this.#statistics.publish();
  }

  #endTimers(): void {
    clearTimeout(this.#silenceTimer);
    this.#turns.end();
    this.#idleLanes.end();
  }

  #laneBroken(error: BrokenError, lane: number, events: DispatcherEvents): void {
    const isLast = this.#lanes.every(({ state }) => state === 'broken');
    if (isLast) {
      this.#brokenBy = error;
      this.#rejectQueued(error);
    }
    events.laneBroken(lane, error);
    if (isLast) events.broken(error);
  }

  #refusal(signal: AbortSignal | undefined): Error | undefined {
    const { command, maxQueue } = this.#settings;
    if (this.#closing !== undefined || this.#isDestroyed) return new ClosedError(command);
    if (signal?.aborted) return new AbortError(signal);
    if (this.#brokenBy !== undefined) return this.#brokenBy;
    const limit = this.capacity + maxQueue;
    return this.pending >= limit ? new QueueFullError({ command, limit }) : undefined;
  }

  #timeout(timeoutMs: number, phase: RequestPhase): Error {
    return new TimeoutError({ command: this.#settings.command, timeoutMs, phase });
  }

  #settled(request: Request, signal: AbortSignal | undefined, isFailure: boolean): void {
    this.#statistics.settled(request, isFailure);
    if (signal !== undefined) this.#aborts.delete(signal, request);
    this.pending -= 1;
    if (this.pending > 0) return;
    if (this.#closing === undefined) this.#setKeepAlive(false);
    this.#onDrained?.();
  }

  #setKeepAlive(isNeeded: boolean): void {
    this.#keepAlive ??= setInterval(() => undefined, FOREVER_MS);
    if (isNeeded) this.#keepAlive.ref();
    else this.#keepAlive.unref();
  }

  /** A child on its way out may die after the port broke: nobody would take what it held. */
  #putBack(requests: readonly Request[]): void {
    for (const request of requests) request.tally?.handedBack(request);
    this.#queue.putBack(requests);
    if (this.#brokenBy !== undefined) this.#rejectQueued(this.#brokenBy);
  }

  #rejectQueued(error: Error): void {
    for (const request of this.#queue.takeAll()) request.reject(error);
  }

  /** Gives what waits to the children that have room. */
  #pump(): void {
    if (this.#isDestroyed) return;
    for (let request = this.#queue.peek(); request !== undefined; request = this.#queue.peek()) {
      const lane = this.#laneFor(request);
      if (lane === undefined) break;
      this.#queue.shift();
      this.#statistics.given(request, lane.id);
      lane.send(request);
    }
    this.#grow();
  }

  /** The ready lane with the fewest in flight; for a request that may be deadly, one without any. */
  #laneFor(request: Request): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes) {
      const isFree = request.crashes > 0 ? lane.inFlight === 0 && lane.room > 0 : lane.room > 0;
      if (isFree && (best === undefined || lane.inFlight < best.inFlight)) best = lane;
    }
    return best;
  }

  /** Starts one more child when more wait, for a child or in one behind others, than there are starting. */
  #grow(): void {
    const idle = this.#lanes.find((lane) => lane.state === 'idle');
    if (idle === undefined) return;
    let waiting = this.#queue.length;
    for (const lane of this.#lanes) waiting += lane.state === 'starting' ? -1 : Math.max(0, lane.inFlight - 1);
    if (waiting > 0) idle.start();
  }
}
