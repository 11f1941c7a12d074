/**
 * The engine of a Port and a PortPool: one queue in front of several lanes.
 *
 *   open --close()--> closing --all requests settled, all children gone--> closed
 *     |                  |                                                    ^
 *     '---destroy()------'-----------> destroyed ---all children gone--------'
 *
 * All that may change anything ends in one step: assign, grow, replace, finish. A step is idempotent and never runs
 * inside itself: user code that is called in the midst of it, or of a chunk that is being parsed, may call any method,
 * and the step begins again. Public events are told at its end, when all that belongs to them is done.
 */
import { AbortGroup, onAbort } from '../abort';
import { AbortError, TimeoutError } from '../errors';
import { Fifo } from '../fifo';
import type { Message } from '../framing/frame-writer';
import { InvalidMessageError, MessageTooLargeError } from '../framing/framing-errors';
import { callUser } from '../user-code';
import { Deadlines } from './deadlines';
import { Lane, type LaneOwner, type LaneSettings } from './lane';
import { laneFor, laneToReplace, laneToStart, lanesToRelease } from './placement';
import { ClosedError, QueueFullError, type BrokenError } from './port-errors';
import type { PortEvents, Told } from './port-events';
import { RequestIds } from './protocol';
import { Request, type RequestKind, type RequestOptions, type RequestOwner, type RequestPlace } from './request';
import { RequestQueue } from './request-queue';
import { Statistics, type LaneState, type PortStatistics } from './statistics';

export interface PoolSettings extends Omit<LaneSettings, 'ids'> {
  readonly size: number;
  /** How many children `start()` starts, and stay though they have nothing to do. */
  readonly minSize: number;
  /** How long a child may have nothing to do; undefined: without a limit. */
  readonly idleTimeoutMs: number | undefined;
  readonly maxQueue: number;
  /** Where the framing says it; a longer one is refused at the call. */
  readonly maxMessageBytes: number;
  readonly requestTimeoutMs: number | undefined;
  readonly runTimeoutMs: number | undefined;
  /** Destroys the port. */
  readonly signal: AbortSignal | undefined;
  readonly encode: ((message: unknown) => Message) | undefined;
  readonly decode: ((message: Buffer) => unknown) | undefined;
}

/**
 * What a port does: it has no child (`idle`); its child starts, serves, is waited for before a restart (`backoff`), or was
 * given up (`broken`); it was closed, and its children leave (`closing`) or are gone. A pool is as well as its best lane.
 */
export type PortState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closing' | 'closed';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** From the best to the worst: several lanes are as well as the best of them. */
const LANE_STATES: readonly LaneState[] = ['ready', 'starting', 'backoff', 'idle', 'broken'];
const FOREVER_MS = 2 ** 31 - 1;
/** Whether a child had nothing to do is looked at, not timed: so one stays for up to a quarter longer than it might. */
const IDLE_LOOKS = 4;

export class Pool implements LaneOwner, RequestOwner {
  pending = 0;
  hasAnswered = false;
  readonly decode: ((message: Buffer) => unknown) | undefined;

  readonly #settings: PoolSettings;
  readonly #emit: (told: Told) => void;
  readonly #lanes: readonly Lane[];
  readonly #ids = new RequestIds();
  readonly #queue = new RequestQueue();
  readonly #deadlines = new Deadlines<Request>((requests) => this.#giveUp(requests, 'timeout'));
  #burstAt: number | undefined;
  readonly #endBurst = (): void => {
    this.#burstAt = undefined;
  };
  readonly #aborts = new AbortGroup<Request>((requests) => this.#giveUp(requests, 'abort'));
  readonly #statistics: Statistics;
  #state: 'open' | 'closing' | 'destroyed' | 'closed' = 'open';
  /** What a destroyed port's requests are rejected with. */
  #destroyedBy: Error | undefined;
  /** What the last lane broke of, when all are broken. */
  #brokenBy: BrokenError | undefined;
  /** What the latest of the broken lanes broke of. */
  #lastBroken: BrokenError | undefined;

  /** `again`: something has changed in the midst of a step. */
  #stepping: 'resting' | 'once' | 'again' = 'resting';
  readonly #told = new Fifo<Told>();
  /** All lanes that may have room: a lane is asked again when it has changed, so that the busy ones cost nothing. */
  #offered: Lane[] = [];
  /** A lane may be idle, so growth is to be thought of. */
  #mayGrow = true;
  /** A lane's age may have come, so replacement is to be thought of. */
  #mayReplace = false;
  /** Lanes that wait for their replacement, first come first. */
  readonly #replaceable = new Set<Lane>();
  #replaceTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  /** Of `closing`: how long nothing may be answered. */
  #silenceTimer: NodeJS.Timeout | undefined;
  /** Keeps this process alive while something of ours is awaited; children and pipes do not. */
  #keepAlive: NodeJS.Timeout | undefined;
  #isKeptAlive = false;
  #closing: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #starters: Waiter[] = [];
  #stopListening: (() => void) | undefined;

  /** @param emit emits a public event; a throw of a listener is passed on as it is */
  constructor(settings: PoolSettings, emit: (told: Told) => void) {
    this.#settings = settings;
    this.#emit = emit;
    this.decode = settings.decode;
    this.#lanes = Array.from(
      { length: settings.size },
      (_, index) => new Lane(index, { ...settings, ids: this.#ids }, this),
    );
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
    if (this.#state === 'closed') return 'closed';
    if (this.#state !== 'open') return 'closing';
    const best = LANE_STATES.find((state) => this.#lanes.some((lane) => lane.state === state));
    return best ?? 'closed';
  }

  /** How many children there may be. */
  get size(): number {
    return this.#settings.size;
  }

  /** How many requests the children can hold together. */
  get capacity(): number {
    return this.#settings.size * this.#settings.maxInFlight;
  }

  get requestTimeoutMs(): number | undefined {
    return this.#settings.requestTimeoutMs;
  }

  get runTimeoutMs(): number | undefined {
    return this.#settings.runTimeoutMs;
  }

  statistics(): PortStatistics {
    return this.#statistics.take();
  }

  /**
   * @returns the reply as `decode` or the protocol gives it, or as a Buffer that nobody else owns, perhaps a view on a
   * larger chunk
   * @throws what `encode` throws
   */
  request(message: unknown, options: RequestOptions): Promise<unknown> {
    const { protocol } = this.#settings;
    const id = protocol === undefined || protocol.ids === false ? undefined : this.#ids.give();
    const encoded = this.#encode(message, id, options);
    const refusal = this.#refusal(options.signal) ?? this.#fault(encoded);
    if (refusal !== undefined) return Promise.reject(refusal);
    const request = this.#create('request', encoded, id, options, this.#queue);
    this.#queue.push(request);
    this.#step();
    request.own();
    return request.promise;
  }

  /** A message that is not answered, in the order of the calls. Resolves when a child is given it. */
  send(message: unknown): Promise<unknown> {
    const encoded = this.#encode(message, undefined, {});
    const refusal = this.#refusal(undefined) ?? this.#fault(encoded);
    if (refusal !== undefined) return Promise.reject(refusal);
    const request = this.#create('send', encoded, undefined, {}, this.#queue);
    this.#queue.push(request);
    this.#step();
    request.own();
    return request.promise;
  }

  ask(lane: Lane, session: RequestPlace & { give(request: Request): void }, message: unknown, options: RequestOptions) {
    const { protocol } = this.#settings;
    const id = protocol === undefined || protocol.ids === false ? undefined : this.#ids.give();
    const encoded = this.#encode(message, id, options);
    const refusal = options.signal?.aborted ? new AbortError(options.signal) : this.#fault(encoded);
    if (refusal !== undefined) return Promise.reject(refusal);
    const request = this.#create('of this child', encoded, id, options, session);
    lane.counters.given(request);
    session.give(request);
    request.own();
    this.#step();
    return request.promise;
  }

  start(): Promise<void> {
    if (this.#state !== 'open') return Promise.reject(this.#closedError());
    const started = new Promise<void>((resolve, reject) => this.#starters.push({ resolve, reject }));
    this.#step();
    return started;
  }

  /** @param id of the lane; undefined: all */
  restart(id: number | undefined): void {
    if (this.#state !== 'open') throw new ClosedError(this.#settings.command);
    const lanes = id === undefined ? this.#lanes : this.#lanes.slice(id, id + 1);
    this.#brokenBy = undefined;
    this.#lastBroken = undefined;
    for (const lane of lanes) lane.restart();
    if (lanes.every(({ state }) => state === 'idle')) lanes[0]?.start();
    this.#lanesChanged();
  }

  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      const { closeTimeoutMs } = this.#settings;
      this.#silenceTimer = setTimeout(() => void this.destroy(), closeTimeoutMs).unref();
    }
    return this.#ending();
  }

  destroy(error: Error = new ClosedError(this.#settings.command)): Promise<void> {
    if (this.#state === 'closed') return this.#ending();
    this.#state = 'destroyed';
    this.#destroyedBy ??= error;
    clearTimeout(this.#silenceTimer);
    for (const lane of this.#lanes) lane.destroy(error);
    this.#rejectQueued(error);
    return this.#ending();
  }

  tell<Name extends keyof PortEvents>(name: Name, ...args: PortEvents<unknown>[Name]): void {
    const told = [name, args] as unknown as Told;
    if (told[0] === 'lanebroken') this.#lastBroken = told[1][1];
    this.#told.push(told);
  }

  /** A child on its way out may die after the port broke: nobody would take what it held. */
  handBack(requests: readonly Request[], areCleared: boolean): void {
    for (const request of requests) {
      request.counters?.handedBack(request);
    }
    this.#queue.putBack(requests);
    if (areCleared) for (const request of this.#queue.toArray()) request.crashes = 0;
    const fatal = this.#brokenBy ?? (this.#state === 'destroyed' ? this.#destroyedBy : undefined);
    if (fatal !== undefined) this.#rejectQueued(fatal);
  }

  changed(lane: Lane, hasAnswered: boolean): void {
    // In the order of the lanes: of several without a request the first is asked.
    if (!this.#offered.includes(lane)) {
      const behind = this.#offered.findIndex(({ id }) => id > lane.id);
      this.#offered.splice(behind < 0 ? this.#offered.length : behind, 0, lane);
    }
    if (hasAnswered) {
      this.hasAnswered = true;
      this.#silenceTimer?.refresh();
      this.#step();
    } else this.#lanesChanged();
  }

  settled(request: Request): void {
    this.#statistics.settled(request);
    if (request.signal !== undefined) this.#aborts.delete(request.signal, request);
    if (request.deadline !== undefined) this.#deadlines.clear(request.deadline);
    this.pending -= 1;
  }

  #encode(message: unknown, id: number | undefined, { onProgress }: RequestOptions): Message {
    const { protocol, encode } = this.#settings;
    if (protocol !== undefined) return protocol.encode(message, id, onProgress !== undefined);
    return encode === undefined ? (message as Message) : encode(message);
  }

  #create(
    kind: RequestKind,
    message: Message,
    id: number | undefined,
    options: RequestOptions,
    place: RequestPlace,
  ): Request {
    const { signal, timeoutMs = this.#settings.requestTimeoutMs } = options;
    const runTimeoutMs = options.runTimeoutMs ?? this.#settings.runTimeoutMs;
    const request = new Request({ kind, message, id, runTimeoutMs, place }, options, this);
    this.#statistics.asked(request);
    this.pending += 1;
    // What is not answered is not waited for.
    if (kind === 'send') return request;
    if (timeoutMs !== undefined) request.deadline = this.#deadlines.set(request, timeoutMs, this.#askedAt());
    if (signal !== undefined) this.#aborts.add(signal, request);
    return request;
  }

  /**
   * The time of the first of the requests that are made in one go: they are due at one moment, though it takes a while to
   * make them, and so one hang costs one child.
   */
  #askedAt(): number {
    if (this.#burstAt === undefined) {
      this.#burstAt = performance.now();
      queueMicrotask(this.#endBurst);
    }
    return this.#burstAt;
  }

  #refusal(signal: AbortSignal | undefined): Error | undefined {
    const { command, maxQueue } = this.#settings;
    if (this.#state !== 'open') return this.#closedError();
    if (signal?.aborted) return new AbortError(signal);
    if (this.#brokenBy !== undefined) return this.#brokenBy;
    const limit = this.capacity + maxQueue;
    return this.pending >= limit ? new QueueFullError({ command, limit }) : undefined;
  }

  /** What can be known at the call is best refused at the call. */
  #fault(message: Message): Error | undefined {
    const { maxMessageBytes } = this.#settings;
    if (typeof message !== 'string' && !ArrayBuffer.isView(message)) return new InvalidMessageError(message);
    const leastBytes = typeof message === 'string' ? message.length : message.byteLength;
    if (leastBytes <= maxMessageBytes) return undefined;
    const messageBytes = typeof message === 'string' ? Buffer.byteLength(message) : leastBytes;
    return new MessageTooLargeError({ messageBytes, maxMessageBytes });
  }

  /** A port that its signal destroyed says so. */
  #closedError(): Error {
    return this.#destroyedBy instanceof AbortError ? this.#destroyedBy : new ClosedError(this.#settings.command);
  }

  /** The lanes that `start()` starts. */
  #warmLanes(): readonly Lane[] {
    return this.#lanes.slice(0, Math.max(1, this.#settings.minSize));
  }

  #ending(): Promise<void> {
    if (this.#closing === undefined) {
      let resolve!: () => void;
      const promise = new Promise<void>((done) => (resolve = done));
      this.#closing = { promise, resolve };
    }
    this.#step();
    return this.#closing.promise;
  }

  #rejectQueued(error: Error): void {
    for (const request of this.#queue.takeAll()) request.reject(error);
  }

  /** All that were given up at one time, before anything follows from it: a child that hangs costs one child. */
  #giveUp(requests: readonly Request[], reason: 'abort' | 'timeout'): void {
    const places = new Set<RequestPlace>();
    for (const request of requests) {
      if (request.isSettled) continue;
      places.add(request.place);
      request.giveUp(reason, this.#reasonFor(request, reason));
    }
    for (const place of places) place.reconsider();
    // What was given up may have made room.
    this.#offered = [...this.#lanes];
    this.#step();
  }

  #reasonFor(request: Request, reason: 'abort' | 'timeout'): Error {
    if (reason === 'abort' && request.signal !== undefined) return new AbortError(request.signal);
    const timeoutMs = request.deadline?.series.afterMs ?? 0;
    const { command, start } = this.#settings;
    const { phase, ...facts } = request.place.waitOf(request);
    const isStarting = phase === 'queue' && start !== undefined && this.state === 'starting';
    return new TimeoutError({ command, timeoutMs, phase: isStarting ? 'start' : phase, ...facts });
  }

  /** A child may have to be started or replaced. */
  #lanesChanged(): void {
    this.#mayGrow = true;
    this.#mayReplace = true;
    this.#step();
  }

  #step(): void {
    if (this.#stepping !== 'resting') {
      this.#stepping = 'again';
      return;
    }
    try {
      do {
        this.#stepping = 'once';
        if (this.#state === 'open' || this.#state === 'closing') {
          this.#noticeBroken();
          this.#assign();
          this.#grow();
          this.#replace();
        }
        this.#finishStarting();
        this.#finishClosing();
        this.#holdProcess();
        this.#tellAll();
      } while (this.#mustStepAgain);
    } finally {
      this.#stepping = 'resting';
    }
  }

  // As a method of its own: the checker does not know that what is called in between may set it.
  get #mustStepAgain(): boolean {
    return this.#stepping === 'again';
  }

  /** Whether the last child was given up. */
  #noticeBroken(): void {
    const error = this.#lastBroken;
    if (error === undefined || this.#brokenBy !== undefined) return;
    if (this.#lanes.some(({ state }) => state !== 'broken')) return;
    this.#brokenBy = error;
    this.#rejectQueued(error);
    this.tell('broken', error);
  }

  /** Gives what waits to the children that have room. */
  #assign(): void {
    for (let request = this.#queue.peek(); request !== undefined; request = this.#queue.peek()) {
      const lane = request.kind === 'send' ? this.#laneForSend() : this.#laneFor(request);
      if (lane === undefined) return;
      if (request.deadline !== undefined && request.deadline.atMs <= performance.now()) {
        request.giveUp('timeout', this.#reasonFor(request, 'timeout'));
        continue;
      }
      this.#queue.shift();
      lane.give(request);
      if (lane.isReplacementDue) this.#replaceable.add(lane);
    }
  }

  #laneFor({ crashes }: Request): Lane | undefined {
    while (this.#offered[0] !== undefined && this.#offered[0].room <= 0) this.#offered.shift();
    return laneFor(crashes > 0, this.#offered);
  }

  #laneForSend(): Lane | undefined {
    return this.#lanes.find(({ takesSends }) => takesSends);
  }

  #grow(): void {
    if (!this.#mayGrow) return;
    for (let lane = this.#laneToStart(); lane !== undefined; lane = this.#laneToStart()) lane.start();
    this.#mayGrow = this.#lanes.some(({ state }) => state === 'idle');
    if (this.#settings.idleTimeoutMs !== undefined && this.#idleTimer === undefined) this.#watchIdle();
  }

  #laneToStart(): Lane | undefined {
    return laneToStart(this.#queue.length, this.#lanes);
  }

  #replace(): void {
    if (this.#mayReplace) {
      this.#mayReplace = false;
      for (const lane of this.#lanes) {
        if (lane.isReplacementDue) this.#replaceable.add(lane);
      }
    }
    if (this.#replaceable.size === 0) return;
    for (const lane of this.#replaceable) {
      if (!lane.isReplacementDue) this.#replaceable.delete(lane);
    }
    let lane = laneToReplace(this.#replaceable, this.#lanes);
    while (lane !== undefined) {
      this.#replaceable.delete(lane);
      lane.replace();
      lane = laneToReplace(this.#replaceable, this.#lanes);
    }
    // A child that is not asked shows that it is well by living.
    if (this.#replaceable.size === 0 || this.#replaceTimer !== undefined) return;
    this.#replaceTimer = setTimeout(() => {
      this.#replaceTimer = undefined;
      this.#step();
    }, this.#settings.minUptimeMs).unref();
  }

  #watchIdle(): void {
    const { idleTimeoutMs, minSize } = this.#settings;
    if (idleTimeoutMs === undefined || this.#lanes.every(({ state }) => state === 'idle')) return;
    this.#idleTimer = setInterval(() => {
      for (const lane of this.#lanes) lane.look();
      for (const lane of lanesToRelease(IDLE_LOOKS, minSize, this.#lanes)) lane.release();
      if (this.#lanes.every(({ state }) => state === 'idle' || state === 'broken')) {
        clearInterval(this.#idleTimer);
        this.#idleTimer = undefined;
      }
      this.#lanesChanged();
    }, idleTimeoutMs / IDLE_LOOKS).unref();
  }

  #finishStarting(): void {
    if (this.#starters.length === 0) return;
    const lanes = this.#warmLanes();
    if (this.#state === 'open') for (const lane of lanes) lane.start();
    const failure = this.#state === 'open' ? lanes.find(({ brokenBy }) => brokenBy)?.brokenBy : this.#closedError();
    if (failure === undefined && lanes.some(({ state }) => state !== 'ready')) return;
    const starters = this.#starters;
    this.#starters = [];
    for (const { resolve, reject } of starters) {
      if (failure === undefined) resolve();
      else reject(failure);
    }
  }

  #finishClosing(): void {
    if (this.#state === 'closing' && this.pending === 0) {
      clearTimeout(this.#silenceTimer);
      for (const lane of this.#lanes) lane.close();
    }
    const isLeaving = this.#state === 'destroyed' || (this.#state === 'closing' && this.pending === 0);
    if (!isLeaving || this.#lanes.some(({ isEmpty }) => !isEmpty)) return;
    this.#state = 'closed';
    clearTimeout(this.#replaceTimer);
    clearInterval(this.#idleTimer);
    this.#deadlines.end();
    this.#stopListening?.();
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
    this.#isKeptAlive = false;
    this.#statistics.publish();
    this.#closing?.resolve();
  }

  #holdProcess(): void {
    const isAwaited = this.pending > 0 || this.#starters.length > 0;
    const isNeeded = this.#state !== 'closed' && (isAwaited || this.#state !== 'open');
    if (isNeeded === this.#isKeptAlive) return;
    this.#isKeptAlive = isNeeded;
    this.#keepAlive ??= setInterval(() => undefined, FOREVER_MS);
    if (isNeeded) this.#keepAlive.ref();
    else this.#keepAlive.unref();
  }

  #tellAll(): void {
    for (let told = this.#told.shift(); told !== undefined; told = this.#told.shift()) {
      // A listener of what came before may have healed the port.
      if (told[0] === 'broken' && told[1][0] !== this.#brokenBy) continue;
      callUser(this.#emit, told);
    }
  }
}
