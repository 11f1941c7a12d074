/** One place for a child: sessions one after another, by the restart policy or as planned. */
import { settleAfterDeath } from './after-death';
import { BrokenError, isCallersMistake } from './port-errors';
import type { Request } from './request';
import type { Generation, LaneEvents, Restart } from './lane-events';
import { RestartPolicy, type RestartOptions } from './restart-policy';
import { Session } from './session';
import type { SessionEnd, SessionSettings } from './session-events';

export interface LaneSettings extends SessionSettings, RestartOptions {
  /** A child that was given so many requests is replaced. */
  readonly maxRequests: number;
  /** A child of this age is replaced. */
  readonly maxAgeMs: number | undefined;
}

export type LaneState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closed';

export class Lane {
  state: LaneState = 'idle';
  /** Why the lane is broken. */
  brokenBy: BrokenError | undefined;
  /** How often a child was started in the place of another. */
  restarts = 0;

  readonly #id: number;
  readonly #settings: LaneSettings;
  readonly #events: LaneEvents;
  readonly #policy: RestartPolicy;
  #generation = 0;
  #current: Session | undefined;
  /** Started to take the place of the current one. */
  #next: Session | undefined;
  #leaving: Session | undefined;
  /** It was to be replaced while the one before was still leaving, or by one that could not be started. */
  #isReplacementDue = false;
  readonly #alive = new Set<Session>();
  #backoffTimer: NodeJS.Timeout | undefined;
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(id: number, settings: LaneSettings, events: LaneEvents) {
    this.#id = id;
    this.#settings = settings;
    this.#events = events;
    this.#policy = new RestartPolicy(settings);
  }

  /** How many requests it takes now. */
  get room(): number {
    return this.#current?.room ?? 0;
  }

  get inFlight(): number {
    return this.#current?.length ?? 0;
  }

  send(request: Request): void {
    const session = this.#current;
    session?.send(request);
    if (session !== undefined && session.sent >= this.#settings.maxRequests && !this.#isReplacementDue) this.replace();
  }

  start(): void {
    if (this.state !== 'idle') return;
    this.state = 'starting';
    this.#current = this.#open();
  }

  /** Heals what is broken, ends a wait, starts what is idle; what runs is replaced without a gap. */
  restart(): void {
    if (this.state === 'ready') this.replace();
    if (this.state !== 'broken' && this.state !== 'backoff' && this.state !== 'idle') return;
    clearTimeout(this.#backoffTimer);
    this.#policy.reset();
    this.brokenBy = undefined;
    this.state = 'idle';
    this.start();
  }

  /** Starts the next child; once it is up, the current one takes no more, finishes and leaves. One after another. */
  replace(): void {
    if (this.state !== 'ready' || this.#next !== undefined) return;
    this.#isReplacementDue = this.#leaving !== undefined;
    if (this.#isReplacementDue) return;
    clearTimeout(this.#ageTimer);
    this.#next = this.#open();
    this.#restarting({ generation: this.#generation, delayMs: 0 });
  }

  /** The children finish what they have and leave at the end of their input. */
  async close(): Promise<void> {
    this.#stop('closed');
    this.#next?.end('ended', new Error('closed'));
    const unwritten = this.#current?.leave();
    if (unwritten !== undefined && unwritten.length > 0) this.#events.handBack(unwritten);
    await this.#gone();
  }

  async destroy(error: Error): Promise<void> {
    this.#stop('closed');
    for (const session of [...this.#alive]) session.end('ended', error);
    await this.#gone();
  }

  async #gone(): Promise<void> {
    await Promise.all([...this.#alive].map((session) => session.closed));
  }

  #stop(state: 'closed' | 'broken'): void {
    this.state = state;
    clearTimeout(this.#backoffTimer);
    clearTimeout(this.#ageTimer);
  }

  #open(): Session {
    this.#generation += 1;
    const session: Session = new Session(this.#generation, this.#settings, {
      spawned: () => this.#spawned(session),
      progressed: (replies) => {
        if (replies > 0) this.#policy.answered();
        this.#events.progressed(replies);
      },
      unexpected: (message) => this.#events.unexpected(this.#describe(session), message),
      exited: (status) => this.#events.exited(this.#describe(session), status),
      ended: (end) => this.#ended(session, end),
    });
    this.#alive.add(session);
    void session.closed.then(() => this.#sessionClosed(session));
    return session;
  }

  #describe({ generation, pid }: Session): Generation {
    return { lane: this.#id, generation, pid };
  }

  #spawned(session: Session): void {
    if (session === this.#next) {
      this.#next = undefined;
      this.#leaving = this.#current;
      this.#current = session;
    }
    this.state = this.state === 'closed' ? 'closed' : 'ready';
    if (this.#settings.maxAgeMs !== undefined) this.#replaceIn(this.#settings.maxAgeMs);
    this.#events.spawned(this.#describe(session));
    const unwritten = this.#leaving?.leave();
    if (unwritten !== undefined && unwritten.length > 0) this.#events.handBack(unwritten);
    this.#events.progressed(0);
  }

  #replaceIn(delayMs: number): void {
    clearTimeout(this.#ageTimer);
    this.#ageTimer = setTimeout(() => this.replace(), delayMs).unref();
  }

  #sessionClosed(session: Session): void {
    this.#alive.delete(session);
    if (session !== this.#leaving) return;
    this.#leaving = undefined;
    if (this.#isReplacementDue) this.replace();
  }

  #ended(session: Session, end: SessionEnd): void {
    const isPoison = this.#settle(end);
    // Its last replies may have come in one chunk with what it is ended for.
    if (end.kind === 'misbehaved' && end.hasAnswered) this.#policy.answered();
    if (isPoison) this.#policy.forgive(1);
    if (session === this.#current) this.#lostCurrent(end, isPoison);
    else if (session === this.#next) this.#lostNext(end);
    else this.#lostReplaced(end, isPoison);
    this.#events.progressed(0);
  }

  #lostCurrent(end: SessionEnd, isPoison: boolean): void {
    clearTimeout(this.#ageTimer);
    this.#isReplacementDue = false;
    this.#current = this.#next;
    this.#next = undefined;
    if (this.state === 'closed' || this.state === 'broken') return;
    if (this.#current === undefined) {
      this.#startNext(end, isPoison);
    } else {
      this.state = 'starting';
      this.#lostReplaced(end, isPoison);
    }
  }

  /** The one that was to take over could not be started: the current one stays, and is replaced another time. */
  #lostNext(end: SessionEnd): void {
    this.#next = undefined;
    if (this.state !== 'ready') return;
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    this.#isReplacementDue = true;
    this.#replaceIn(verdict.kind === 'restart' ? verdict.delayMs : this.#settings.withinMs);
  }

  /** One died whose successor is there already: its crash counts, but nobody waits for that. */
  #lostReplaced(end: SessionEnd, isPoison: boolean): void {
    if (end.kind === 'ended' || isPoison || this.state === 'closed' || this.state === 'broken') return;
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    if (verdict.kind === 'give up') this.#break(end.error);
  }

  /** @returns whether the child died of a poisonous request */
  #settle(end: SessionEnd): boolean {
    const { again, isPoison } = settleAfterDeath(end, this.#settings.command);
    if (isPoison) this.#events.cleared();
    if (again.length > 0) this.#events.handBack(again);
    return isPoison;
  }

  #startNext(end: SessionEnd, isPoison: boolean): void {
    if (this.#generation === 1 && isCallersMistake(end.error)) {
      this.#break(end.error);
      return;
    }
    const verdict =
      end.kind === 'ended' || isPoison
        ? ({ kind: 'restart', delayMs: 0 } as const)
        : this.#policy.died({ ...end, nowMs: performance.now() });
    if (verdict.kind === 'give up') {
      this.#break(end.error);
      return;
    }
    const generation = this.#generation + 1;
    const { delayMs } = verdict;
    const start = (): void => {
      this.state = 'idle';
      this.start();
    };
    this.state = 'backoff';
    if (delayMs === 0) start();
    else this.#backoffTimer = setTimeout(start, delayMs).unref();
    this.#restarting({ generation, delayMs, cause: end.error });
  }

  /** Tells it when all is arranged, for who is told may close the port or restart it. */
  #restarting(next: Omit<Restart, 'lane'>): void {
    this.restarts += 1;
    this.#events.restarting({ lane: this.#id, ...next });
  }

  #break(cause: Error): void {
    const { command, withinMs } = this.#settings;
    this.#stop('broken');
    this.brokenBy = new BrokenError({ command, restarts: this.#policy.recentRestarts, withinMs, cause });
    this.#next?.end('ended', this.brokenBy);
    this.#current?.end('ended', this.brokenBy);
    this.#events.broken(this.brokenBy);
  }
}
