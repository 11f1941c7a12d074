/** One place for a child: sessions one after another, by the restart policy or as planned. */
import { settleAfterDeath } from './after-death';
import { BrokenError, isCallersMistake } from './port-errors';
import type { Request } from './request';
import type { Generation, LaneEvents, LaneSettings, LaneState, Restart } from './lane-events';
import { Lifespan } from './lifespan';
import { RestartPolicy, type Verdict } from './restart-policy';
import { Session } from './session';
import type { SessionEnd } from './session-events';
import { Traffic } from './traffic';

export class Lane {
  readonly id: number;
  state: LaneState = 'idle';
  /** Why the lane is broken. */
  brokenBy: BrokenError | undefined;
  /** How often a child was started in the place of another. */
  restarts = 0;
  /** Its child is to be replaced: when its turn has come, and the one before is gone. */
  isReplacementDue = false;
  readonly lifespan: Lifespan;
  readonly traffic = new Traffic();

  readonly #settings: LaneSettings;
  readonly #events: LaneEvents;
  readonly #policy: RestartPolicy;
  #generation = 0;
  #current: Session | undefined;
  /** Started to take the place of the current one. */
  #next: Session | undefined;
  #leaving: Session | undefined;
  readonly #alive = new Set<Session>();
  #backoffTimer: NodeJS.Timeout | undefined;

  constructor(id: number, settings: LaneSettings, events: LaneEvents) {
    this.id = id;
    this.#settings = settings;
    this.#events = events;
    this.#policy = new RestartPolicy(settings);
    this.lifespan = new Lifespan(settings, () => this.#askToReplace());
  }

  /** How many requests it takes now. */
  get room(): number {
    return this.#current?.room ?? 0;
  }

  get inFlight(): number {
    return this.#current?.length ?? 0;
  }

  /** Whether a child is on its way, or has not yet shown that it is well: it answers, or lives for `minUptimeMs`. */
  get isUnproven(): boolean {
    if (this.state !== 'ready') return this.state === 'starting';
    return this.#next !== undefined || this.#current?.isProven(this.#settings.minUptimeMs) === false;
  }

  send(request: Request): void {
    this.#current?.send(request);
    this.lifespan.sent(this.#current?.sent ?? 0);
  }

  start(): void {
    if (this.state !== 'idle') return;
    this.state = 'starting';
    this.#current = this.#open();
  }

  /** Heals what is broken, ends a wait; what runs is replaced when its turn comes, without a gap. */
  restart(): void {
    if (this.state === 'ready') this.#askToReplace();
    if (this.state !== 'broken' && this.state !== 'backoff') return;
    clearTimeout(this.#backoffTimer);
    this.#policy.reset();
    this.brokenBy = undefined;
    this.state = 'idle';
    this.start();
  }

  /** Starts the next child; once it is up, the current one takes no more, finishes and leaves. One after another. */
  replace(): void {
    if (!this.isReplacementDue || this.state !== 'ready' || this.#leaving !== undefined) return;
    this.isReplacementDue = false;
    this.#next = this.#open();
    this.#restarting({ generation: this.#generation, delayMs: 0 });
  }

  /** Has its child leave, if it has nothing to do; the next request starts another. @returns whether it leaves */
  letGo(): boolean {
    if (this.room === 0 || this.inFlight > 0 || this.#next !== undefined || this.#leaving !== undefined) return false;
    this.state = 'idle';
    this.isReplacementDue = false;
    this.lifespan.end();
    this.#leaving = this.#current;
    this.#current = undefined;
    this.#leaving?.leave();
    return true;
  }

  #askToReplace(): void {
    if (this.state !== 'ready' || this.#next !== undefined) return;
    this.isReplacementDue = true;
    this.#events.replacementDue(this.id);
  }

  /** The children finish what they have and leave at the end of their input. */
  async close(): Promise<void> {
    this.#stop('closed');
    this.#next?.end('ended', new Error('closed'));
    const unwritten = this.#current?.leave();
    if (unwritten !== undefined && unwritten.length > 0) this.#events.handBack(unwritten);
    await Promise.all([...this.#alive].map(({ closed }) => closed));
  }

  async destroy(error: Error): Promise<void> {
    this.#stop('closed');
    for (const session of [...this.#alive]) session.end('ended', error);
    await Promise.all([...this.#alive].map(({ closed }) => closed));
  }

  #stop(state: 'closed' | 'broken'): void {
    this.state = state;
    clearTimeout(this.#backoffTimer);
    this.lifespan.end();
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
    this.traffic.opened(session);
    void session.closed.then(() => this.#sessionClosed(session));
    return session;
  }

  #describe({ generation, pid }: Session): Generation {
    return { lane: this.id, generation, pid };
  }

  #spawned(session: Session): void {
    if (session === this.#next) {
      this.#next = undefined;
      this.#leaving = this.#current;
      this.#current = session;
    }
    this.state = this.state === 'closed' ? 'closed' : 'ready';
    this.lifespan.begin();
    this.#events.spawned(this.#describe(session));
    const unwritten = this.#leaving?.leave();
    if (unwritten !== undefined && unwritten.length > 0) this.#events.handBack(unwritten);
    this.#events.progressed(0);
  }

  #sessionClosed(session: Session): void {
    this.#alive.delete(session);
    this.traffic.closed(session);
    if (session !== this.#leaving) return;
    this.#leaving = undefined;
    if (this.isReplacementDue) this.#events.replacementDue(this.id);
  }

  #ended(session: Session, end: SessionEnd): void {
    const { again, isPoison } = settleAfterDeath(end, this.#settings.command);
    const isCrash = end.kind !== 'ended' && !isPoison;
    if (isPoison) this.#events.cleared();
    if (again.length > 0) this.#events.handBack(again);
    // Its last replies may have come in one chunk with what it is ended for.
    if (end.kind === 'misbehaved' && end.hasAnswered) this.#policy.answered();
    if (isPoison) this.#policy.forgive(1);
    if (session === this.#current) this.#lostCurrent(end, isCrash);
    else if (session === this.#next) this.#lostNext(end);
    else this.#lostReplaced(end, isCrash);
    this.#events.progressed(0);
  }

  #lostCurrent(end: SessionEnd, isCrash: boolean): void {
    this.lifespan.end();
    this.isReplacementDue = false;
    this.#current = this.#next;
    this.#next = undefined;
    if (this.state === 'closed' || this.state === 'broken') return;
    this.state = 'starting';
    if (this.#current === undefined) this.#startNext(end, isCrash);
    else this.#lostReplaced(end, isCrash);
  }

  /** The one that was to take over could not be started: the current one stays, and is replaced another time. */
  #lostNext(end: SessionEnd): void {
    this.#next = undefined;
    if (this.state !== 'ready') return;
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    this.lifespan.extend(verdict.kind === 'restart' ? verdict.delayMs : this.#settings.withinMs);
  }

  /** One died whose successor is there already: its crash counts, but nobody waits for that. */
  #lostReplaced(end: SessionEnd, isCrash: boolean): void {
    if (!isCrash || this.state === 'closed' || this.state === 'broken') return;
    const verdict = this.#policy.crashed({ ...end, nowMs: performance.now() });
    if (verdict.kind === 'give up') this.#break(end.error);
  }

  #startNext(end: SessionEnd, isCrash: boolean): void {
    const isMistake = this.#generation === 1 && isCallersMistake(end.error);
    const verdict: Verdict = isCrash
      ? this.#policy.died({ ...end, nowMs: performance.now() })
      : { kind: 'restart', delayMs: 0 };
    if (isMistake || verdict.kind === 'give up') {
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
    this.#events.restarting({ lane: this.id, ...next });
  }

  #break(cause: Error): void {
    const { command, withinMs } = this.#settings;
    this.#stop('broken');
    this.brokenBy = new BrokenError({ command, restarts: this.#policy.recentRestarts, withinMs, cause });
    this.#next?.end('ended', this.brokenBy);
    this.#current?.end('ended', this.brokenBy);
    this.#events.broken(this.brokenBy, this.id);
  }
}
