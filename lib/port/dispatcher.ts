/** One queue in front of several lanes: what Port and PortPool have in common, which is all but their faces. */
import { onAbort } from '../abort';
import { AbortError, TimeoutError } from '../errors';
import type { Message } from '../framing/frame-writer';
import { AbortWatch } from './abort-watch';
import { Lane, type LaneSettings } from './lane';
import type { LaneEvents } from './lane-events';
import { ClosedError, QueueFullError } from './port-errors';
import { Request, type RequestOptions, type RequestPhase } from './request';
import { RequestQueue } from './request-queue';

export interface DispatcherSettings extends LaneSettings {
  readonly size: number;
  readonly maxQueue: number;
  readonly requestTimeoutMs: number | undefined;
  /** Destroys the port. */
  readonly signal: AbortSignal | undefined;
}

export type DispatcherEvents = Pick<LaneEvents, 'spawned' | 'exited' | 'restarting' | 'unexpected' | 'broken'>;

export type PortState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closing' | 'closed';

/** From the best to the worst: several lanes are as well as the best of them. */
const LANE_STATES = ['ready', 'starting', 'backoff', 'idle', 'broken'] as const;

const FOREVER_MS = 2 ** 31 - 1;

export class Dispatcher {
  pending = 0;

  readonly #settings: DispatcherSettings;
  readonly #lanes: readonly Lane[];
  readonly #queue = new RequestQueue();
  readonly #aborts = new AbortWatch();
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
      broken: (error) => {
        if (this.#brokenBy !== undefined) this.#rejectQueued(error);
        events.broken(error);
      },
      progressed: (replies) => {
        if (replies > 0) this.#silenceTimer?.refresh();
        this.#pump();
      },
      handBack: (requests) => this.#putBack(requests),
      cleared: () => this.#queue.forEach((request) => (request.crashes = 0)),
    };
    this.#lanes = Array.from({ length: settings.size }, (_, index) => new Lane(index, settings, laneEvents));
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
          this.#settled(request, signal);
          resolve(reply);
        },
        reject: (error) => {
          this.#settled(request, signal);
          reject(error);
        },
      });
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
    // One after another would be gentler; each of them replaces its child without a gap.
    for (const lane of this.#lanes) lane.restart();
    this.#pump();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  destroy(error: Error = new ClosedError(this.#settings.command)): Promise<void> {
    this.#isDestroyed = true;
    if (!this.#isClosed) this.#setKeepAlive(true);
    clearTimeout(this.#silenceTimer);
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
    this.#stopListening?.();
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  get #brokenBy(): Error | undefined {
    return this.#lanes.every((lane) => lane.state === 'broken') ? this.#lanes[0]?.brokenBy : undefined;
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

  #settled(request: Request, signal: AbortSignal | undefined): void {
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
      if (lane === undefined) {
        this.#grow();
        return;
      }
      this.#queue.shift();
      lane.send(request);
    }
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

  /** Starts one more child when more wait than those that are starting will hold. */
  #grow(): void {
    const starting = this.#lanes.filter((lane) => lane.state === 'starting').length;
    if (this.#queue.length <= starting * this.#settings.maxInFlight) return;
    this.#lanes.find((lane) => lane.state === 'idle')?.start();
  }
}
