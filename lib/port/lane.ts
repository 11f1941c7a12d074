/**
 * One place for a child: sessions one after another, by the restart policy or as planned.
 *
 *   idle --start()--> starting --spawn--> ready --its child is over--> backoff --the delay--> starting
 *    ^                                     | |
 *    '---------release(), idle-------------' '--replace(): the next child starts beside the current one and takes over
 *   any but closed: the policy gives up --> broken --restart()--> starting
 *   any: close(), destroy() --> closed
 *
 *   starting, ready   have a current session; `ready` may have a next one, and one that leaves
 *   backoff           has the timer of the delay; where that is over and too many children are still dying, the end of
 *                     one of these is waited for instead
 *   broken            has the reason
 */
import { ExitError, SpawnError } from '../errors';
import { MemoryWatch } from '../process/memory-watch';
import { BrokenError, PoisonError } from './port-errors';
import type { PortEvents, Restart } from './port-events';
import type { Request, RequestOptions } from './request';
import { RestartPolicy, type RestartOptions, type Verdict } from './restart-policy';
import { Session, type SessionEnd, type SessionOwner, type SessionSettings } from './session';
import { LaneCounters, type LaneState } from './statistics';

export interface LaneSettings extends SessionSettings, RestartOptions {
  /** A child that was given this many requests is replaced. */
  readonly maxRequests: number;
  /** A child of this age is replaced. */
  readonly maxAgeMs: number | undefined;
  /** A child that has more memory than this between two requests is replaced. */
  readonly maxRssBytes: number | undefined;
  /** By how large a share of itself each of the first two limits is drawn lower, anew for each child: 0 takes them as they are. */
  readonly jitter: number;
}

/** All that is told upward. */
export interface LaneOwner {
  /** Whether any child of this program has ever answered. */
  readonly hasAnswered: boolean;
  /** A public event, to be emitted when all that belongs to it is done. */
  tell<Name extends keyof PortEvents>(name: Name, ...args: PortEvents<unknown>[Name]): void;
  /**
   * Requests that no child holds any more and that may go to another, in order.
   * @param areCleared the poison among the suspects is found: the others are innocent
   */
  handBack(requests: readonly Request[], areCleared: boolean): void;
  /** Something else may have changed: there is room, a child is up, over or gone, a replacement is due. */
  changed(lane: Lane, hasAnswered: boolean): void;
  /** Asks that child of the lane, past the queue. */
  ask(lane: Lane, session: Session, message: unknown, options: RequestOptions): Promise<unknown>;
}

/** Two children that crashed with the same request, the second one alone with it, are no accident. */
const POISON_CRASHES = 2;
/** How many children that were ended may be alive beside the current one: some ignore SIGTERM until SIGKILL comes. */
const MAX_DYING = 4;
const PERMANENT_CODES: readonly unknown[] = ['ENOENT', 'ENOTDIR', 'EACCES'];

export class Lane implements SessionOwner {
  readonly id: number;
  /** Why the lane is broken. */
  brokenBy: BrokenError | undefined;
  /** How often a child was started in the place of another. */
  restarts = 0;
  /** Its child is to be replaced: when its turn has come, and the one before is gone. */
  isReplacementDue = false;
  /** See PlacedLane. */
  idleLooks = 0;
  readonly counters = new LaneCounters();

  readonly #settings: LaneSettings;
  readonly #owner: LaneOwner;
  readonly #policy: RestartPolicy;
  #state: LaneState = 'idle';
  #generation = 0;
  #current: Session | undefined;
  /** Started to take the place of the current one. */
  #next: Session | undefined;
  #leaving: Session | undefined;
  /** All whose child is not gone. */
  readonly #alive = new Set<Session>();
  /** Of `backoff`. */
  #backoffTimer: NodeJS.Timeout | undefined;
  /** Of `ready`: the child's age, or when its replacement is tried again. */
  #ageTimer: NodeJS.Timeout | undefined;
  /** What its child had been given at the last look. */
  #seenGiven = 0;
  /** After how many requests the current child is to be replaced. */
  #maxRequests = Infinity;
  /** Of the current child's memory; undefined where there is no limit. */
  readonly #memory: MemoryWatch | undefined;

  constructor(id: number, settings: LaneSettings, owner: LaneOwner) {
    this.id = id;
    this.#settings = settings;
    this.#owner = owner;
    this.#policy = new RestartPolicy(settings);
    const { maxRssBytes } = settings;
    if (maxRssBytes !== undefined) this.#memory = new MemoryWatch(maxRssBytes, () => this.#nowDue());
  }

  get state(): LaneState {
    return this.#state;
  }

  /** How many requests it takes now. */
  get room(): number {
    return this.#current === undefined ? 0 : this.#current.room;
  }

  get inFlight(): number {
    return this.#current === undefined ? 0 : this.#current.length;
  }

  /** How many requests its current child was given. */
  get given(): number {
    return this.#current?.given ?? 0;
  }

  /** Whether a child is on its way, or has not yet shown that it is well: it answers, or lives for `minUptimeMs`. */
  get isUnproven(): boolean {
    if (this.#state !== 'ready' || this.#current === undefined) return this.#state === 'starting';
    const isProven = this.#current.hasAnswered || this.#current.uptimeMs >= this.#settings.minUptimeMs;
    return this.#next !== undefined || !isProven;
  }

  /** Whether its child was given, or has taken, twice what it was to have. */
  get isLongOverdue(): boolean {
    const { maxRssBytes = Infinity } = this.#settings;
    return this.given >= 2 * this.#maxRequests || (this.#memory?.seenBytes ?? 0) >= 2 * maxRssBytes;
  }

  /** Whether a replacement could begin now. */
  get mayReplace(): boolean {
    return this.#state === 'ready' && this.#leaving === undefined && this.#next === undefined;
  }

  /** Whether all its children are gone. */
  get isEmpty(): boolean {
    return this.#alive.size === 0;
  }

  /** Whether it takes a message that is not answered. */
  get takesSends(): boolean {
    return this.#current?.takesSends === true;
  }

  give(request: Request): void {
    this.counters.given(request);
    this.#current?.give(request);
    if (this.given >= this.#maxRequests) this.#askToReplace();
  }

  start(): void {
    if (this.#state !== 'idle') return;
    this.#startCurrent();
  }

  /** Heals what is broken, ends a wait; what runs is replaced when its turn comes, without a gap. */
  restart(): void {
    if (this.#state === 'ready') this.#askToReplace();
    if (this.#state !== 'broken' && this.#state !== 'backoff') return;
    this.#policy.reset();
    this.brokenBy = undefined;
    this.#startCurrent();
  }

  /** Starts the next child; once it is up, the current one takes no more, finishes and leaves. */
  replace(): void {
    if (!this.mayReplace) return;
    this.isReplacementDue = false;
    this.#next = this.#open();
    this.#willRestart({ generation: this.#generation, delayMs: 0 });
  }

  /** Whether its child had something to do since the last look. */
  look(): void {
    const isIdle = this.inFlight === 0 && this.#seenGiven === this.given;
    this.idleLooks = isIdle ? this.idleLooks + 1 : 0;
    this.#seenGiven = this.given;
  }

  /** Has its child leave, which has nothing to do; the next request starts another. */
  release(): void {
    if (this.room === 0 || this.inFlight > 0 || !this.mayReplace) return;
    const session = this.#current;
    this.#enter('idle');
    this.#leaving = session;
    session?.leave();
  }

  /** The children finish what they have and leave at the end of their input. */
  close(): void {
    if (this.#state === 'closed') return;
    const [current, next] = [this.#current, this.#next];
    this.#enter('closed');
    next?.end('ended', new Error('closed'));
    this.#handBack(current?.leave() ?? []);
  }

  destroy(error: Error): void {
    this.#enter('closed');
    for (const session of [...this.#alive]) session.end('ended', error);
  }

  tell<Name extends keyof PortEvents>(name: Name, ...args: PortEvents<unknown>[Name]): void {
    this.#owner.tell(name, ...args);
  }

  ready(session: Session): void {
    const replaced = session === this.#next ? this.#current : undefined;
    if (replaced !== undefined) {
      this.#current = session;
      this.#next = undefined;
      this.#leaving = replaced;
    }
    // Else it has come up while the lane is being closed.
    if (session === this.#current) {
      this.#state = 'ready';
      this.#beginLifespan();
    }
    this.#handBack(replaced?.leave() ?? []);
    this.#owner.changed(this, false);
  }

  changed(session: Session, hasAnswered: boolean): void {
    if (hasAnswered) {
      this.#policy.answered();
      if (session === this.#current) this.#memory?.answered();
    }
    this.#owner.changed(this, hasAnswered);
  }

  ask(session: Session, message: unknown, options: RequestOptions): Promise<unknown> {
    return this.#owner.ask(this, session, message, options);
  }

  over(session: Session, end: SessionEnd): void {
    const { again, isPoison } = this.#settleAfter(end);
    const isCrash = end.kind !== 'ended' && !isPoison;
    if (isPoison || again.length > 0) this.#owner.handBack(again, isPoison);
    // Its last replies may have come in one chunk with what it is ended for.
    if (end.kind === 'misbehaved' && end.hasAnswered) this.#policy.answered();
    const isGivenUp = isPoison && this.#policy.foundPoison(this.#owner.hasAnswered).kind === 'give up';
    if (this.#state !== 'closed' && this.#state !== 'broken') {
      if (isGivenUp) this.#break(end.error);
      else if (session === this.#current) this.#lostCurrent(end, isCrash);
      else if (session === this.#next) this.#lostNext(end);
      else if (isCrash) this.#crashedBeside(end);
    }
    this.#owner.changed(this, false);
  }

  gone(session: Session): void {
    this.#alive.delete(session);
    this.counters.gone(session);
    if (session === this.#leaving) this.#leaving = undefined;
    if (this.#state === 'backoff' && this.#backoffTimer === undefined) this.#startCurrent();
    this.#owner.changed(this, false);
  }

  /** Leaves what belongs to the state that ends. */
  #enter(state: LaneState): void {
    clearTimeout(this.#backoffTimer);
    clearTimeout(this.#ageTimer);
    this.#backoffTimer = undefined;
    this.#maxRequests = Infinity;
    this.#memory?.end();
    this.isReplacementDue = false;
    this.idleLooks = 0;
    this.#current = undefined;
    this.#next = undefined;
    this.#state = state;
  }

  #startCurrent(): void {
    // A current one that is over is among the dying as well.
    if (this.#alive.size - (this.#leaving === undefined ? 0 : 1) >= MAX_DYING) {
      this.#enter('backoff');
      return;
    }
    this.#enter('starting');
    this.#current = this.#open();
  }

  #open(): Session {
    this.#generation += 1;
    const session = new Session(this.#generation, this.#settings, this);
    this.#alive.add(session);
    this.counters.opened(session);
    return session;
  }

  #beginLifespan(): void {
    const { maxRequests, maxAgeMs, jitter } = this.#settings;
    const share = 1 - jitter * Math.random();
    clearTimeout(this.#ageTimer);
    this.#maxRequests = Math.ceil(maxRequests * share);
    this.isReplacementDue = false;
    this.#memory?.begin(this.#current?.pid);
    if (maxAgeMs !== undefined) this.#replaceAfter(maxAgeMs * share);
  }

  #replaceAfter(ms: number): void {
    clearTimeout(this.#ageTimer);
    this.#ageTimer = setTimeout(() => this.#nowDue(), ms).unref();
  }

  #nowDue(): void {
    this.#askToReplace();
    this.#owner.changed(this, false);
  }

  #askToReplace(): void {
    if (this.#state === 'ready' && this.#next === undefined) this.isReplacementDue = true;
  }

  #handBack(requests: readonly Request[]): void {
    if (requests.length > 0) this.#owner.handBack(requests, false);
  }

  /**
   * What becomes of the requests that a child held. What it has not seen goes to the next one. What it may have seen is
   * rejected, for it may have been done; unless the caller said that it may be done twice.
   */
  #settleAfter({ kind, error, written, unwritten }: SessionEnd): { again: readonly Request[]; isPoison: boolean } {
    const { command } = this.#settings;
    const again: Request[] = [];
    let isPoison = false;
    for (const [behind, request] of written.entries()) {
      if (request.isSettled) continue;
      if (kind !== 'ended') request.crashes += 1;
      if (!request.isIdempotent || request.kind === 'of this child') {
        request.reject(behind > 0 && error instanceof ExitError ? error.asSeenFrom(behind) : error);
      } else if (request.crashes >= POISON_CRASHES) {
        isPoison = true;
        request.reject(new PoisonError({ command, crashes: request.crashes, cause: error }));
      } else {
        again.push(request);
      }
    }
    // What a hook asked of this child alone is asked of no other.
    for (const request of unwritten) {
      if (request.kind === 'of this child') request.reject(error);
      else again.push(request);
    }
    return { again, isPoison };
  }

  #lostCurrent(end: SessionEnd, isCrash: boolean): void {
    const next = this.#next;
    if (next === undefined) {
      this.#startAfter(end, isCrash);
      return;
    }
    this.#enter('starting');
    this.#current = next;
    if (isCrash) this.#crashedBeside(end);
  }

  /** The one that was to take over could not be started: the current one stays, and is replaced another time. */
  #lostNext(end: SessionEnd): void {
    this.#next = undefined;
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    this.#maxRequests = Infinity;
    this.#memory?.end();
    this.#replaceAfter(verdict.kind === 'restart' ? verdict.delayMs : this.#settings.withinMs);
  }

  /** One died whose successor is there already: its crash counts, but nobody waits for that. */
  #crashedBeside(end: SessionEnd): void {
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    if (verdict.kind === 'give up') this.#break(end.error);
  }

  #startAfter(end: SessionEnd, isCrash: boolean): void {
    const verdict: Verdict = isCrash
      ? this.#policy.died({ ...end, nowMs: performance.now() })
      : { kind: 'restart', delayMs: 0 };
    const isMistake = this.#generation === 1 && isCallersMistake(end.error);
    if (isMistake || verdict.kind === 'give up') {
      this.#break(end.error);
      return;
    }
    const generation = this.#generation + 1;
    const { delayMs } = verdict;
    if (delayMs === 0) {
      this.#startCurrent();
    } else {
      this.#enter('backoff');
      this.#backoffTimer = setTimeout(() => {
        this.#startCurrent();
        this.#owner.changed(this, false);
      }, delayMs).unref();
    }
    this.#willRestart({ generation, delayMs, cause: end.error });
  }

  #willRestart(next: Omit<Restart, 'lane'>): void {
    this.restarts += 1;
    this.#owner.tell('restart', { lane: this.id, ...next });
  }

  #break(cause: Error): void {
    const { command, withinMs } = this.#settings;
    const [current, next] = [this.#current, this.#next];
    const broken = new BrokenError({ command, restarts: this.#policy.recentRestarts, withinMs, cause });
    this.#enter('broken');
    this.brokenBy = broken;
    next?.end('ended', broken);
    current?.end('ended', broken);
    this.#owner.tell('lanebroken', this.id, broken);
  }
}

/** A program or a directory that is missing at the very first spawn is a mistake of the caller's: no restart fixes it. */
function isCallersMistake(error: Error): boolean {
  if (!(error instanceof SpawnError)) return false;
  return PERMANENT_CODES.includes((error.cause as NodeJS.ErrnoException | undefined)?.code);
}
