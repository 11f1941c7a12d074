/** The drawing at the head of lib/port/lane.ts as a table: what each event makes of each state. */
import { expect } from 'chai';
import { ExitError } from '../../lib/errors';
import { Lane, type LaneOwner, type LaneSettings } from '../../lib/port/lane';
import { RequestIds } from '../../lib/port/protocol';
import { Request } from '../../lib/port/request';
import type { LaneState } from '../../lib/port/statistics';
import { LANE_SETTINGS, ScriptedChild, Timers } from '../support/scripted-child';

const crash = new ExitError({ command: 'worker', exitCode: 1, signal: null, durationMs: 1, stderrTail: '' });

const nothing = (): void => undefined;

class Subject {
  readonly children: ScriptedChild[] = [];
  readonly told: string[] = [];
  readonly lane: Lane;

  constructor(maxRestarts = 5, options: Partial<Pick<LaneSettings, 'maxRequests' | 'maxInFlight'>> = {}) {
    const settings = {
      ...LANE_SETTINGS,
      maxRestarts,
      ids: new RequestIds(),
      ...options,
      open: () => {
        const child = new ScriptedChild();
        this.children.push(child);
        return child;
      },
    } as const;
    const owner: LaneOwner = {
      hasAnswered: true,
      tell: (...told) => void this.told.push(told[0]),
      handBack: nothing,
      changed: nothing,
      ask: () => Promise.reject(new Error('nobody asks')),
    };
    this.lane = new Lane(0, settings, owner);
  }

  get child(): ScriptedChild | undefined {
    return this.children.at(-1);
  }

  give(): void {
    const place = { givenUp: nothing, reconsider: nothing, waitOf: () => ({ phase: 'queue' }) as const };
    const facts = { kind: 'request', message: 'x', id: undefined, runTimeoutMs: undefined, place } as const;
    const request = new Request(facts, {}, { decode: undefined, settled: nothing });
    request.promise.catch(nothing);
    this.lane.give(request);
  }

  crash(): void {
    // one that has died does not die again
    if (this.child?.listenerCount('error')) this.child.emit('error', crash);
  }
}

type Event =
  | 'start()'
  | 'its child is up'
  | 'its child dies'
  | 'its child is gone'
  | 'restart()'
  | 'replace()'
  | 'release()'
  | 'close()'
  | 'destroy()'
  | 'the delay is over';

const events: Record<Event, (subject: Subject, timers: Timers) => void> = {
  'start()': ({ lane }) => lane.start(),
  'its child is up': ({ child }) => child?.emit('spawn'),
  'its child dies': (subject) => subject.crash(),
  'its child is gone': ({ child }) => child?.emit('close'),
  'restart()': ({ lane }) => lane.restart(),
  'replace()': ({ lane }) => lane.replace(),
  'release()': ({ lane }) => lane.release(),
  'close()': ({ lane }) => lane.close(),
  'destroy()': ({ lane }) => lane.destroy(new Error('enough')),
  'the delay is over': (_subject, timers) => timers.fire(),
};

const reach: Record<LaneState, () => Subject> = {
  idle: () => new Subject(),
  starting: () => {
    const subject = new Subject();
    subject.lane.start();
    return subject;
  },
  ready: () => {
    const subject = reach.starting();
    subject.child?.emit('spawn');
    return subject;
  },
  backoff: () => {
    const subject = reach.ready();
    subject.crash();
    return subject;
  },
  broken: () => {
    const subject = new Subject(0);
    subject.lane.start();
    subject.child?.emit('spawn');
    subject.crash();
    return subject;
  },
  closed: () => {
    const subject = reach.ready();
    subject.lane.close();
    return subject;
  },
};

const columns = Object.keys(events) as Event[];

/** A dot: the state stays. */
const table: Record<LaneState, readonly (LaneState | '.')[]> = {
  //          start()     up      dies       gone  restart()   replace() release() close()  destroy()  delay
  idle: ['starting', '.', '.', '.', '.', '.', '.', 'closed', 'closed', '.'],
  starting: ['.', 'ready', 'backoff', '.', '.', '.', '.', 'closed', 'closed', '.'],
  ready: ['.', '.', 'backoff', '.', '.', '.', 'idle', 'closed', 'closed', '.'],
  backoff: ['.', '.', '.', '.', 'starting', '.', '.', 'closed', 'closed', 'starting'],
  broken: ['.', '.', '.', '.', 'starting', '.', '.', 'closed', 'closed', '.'],
  closed: ['.', '.', '.', '.', '.', '.', '.', '.', '.', '.'],
};

describe('a lane: what each event makes of each state', () => {
  const timers = new Timers();
  // no delay is 0
  const random = Math.random;

  beforeEach(() => {
    timers.begin();
    Math.random = () => 0.5;
  });
  afterEach(() => {
    timers.end();
    Math.random = random;
  });

  for (const [state, row] of Object.entries(table) as [LaneState, (typeof table)[LaneState]][]) {
    for (const [index, event] of columns.entries()) {
      const cell = row[index];
      const after = cell === '.' ? state : cell;
      it(`${state}, ${event}: ${cell === '.' ? 'it stays' : String(after)}`, () => {
        const subject = reach[state]();
        expect(subject.lane.state, 'before').to.equal(state);
        events[event](subject, timers);
        expect(subject.lane.state).to.equal(after);
        for (const child of subject.children) child.destroy();
      });
    }
  }

  it('the table has every state and every event', () => {
    expect(Object.keys(table).sort()).to.deep.equal(Object.keys(reach).sort());
    for (const row of Object.values(table)) expect(row).to.have.length(columns.length);
  });

  it('ready, replace(): the next child takes over when it is up, and the one before leaves', () => {
    const subject = reach.ready();
    subject.lane.replace();
    expect([subject.lane.state, subject.children.length]).to.deep.equal(['ready', 2]);
    expect(subject.lane.mayReplace).to.equal(false);
    subject.child?.emit('spawn');
    expect(subject.children[0]?.writableEnded).to.equal(true);
    expect(subject.children[1]?.writableEnded).to.equal(false);
    subject.children[0]?.emit('close');
    expect(subject.lane.mayReplace).to.equal(true);
    expect(subject.told).to.deep.equal(['spawn', 'restart', 'spawn']);
    for (const child of subject.children) child.destroy();
  });

  it('ready, release(): not while the one before is leaving, for then two would be', () => {
    const subject = reach.ready();
    subject.lane.replace();
    subject.child?.emit('spawn');
    subject.lane.release();
    expect(subject.lane.state).to.equal('ready');
    expect(subject.children[1]?.writableEnded).to.equal(false);
    subject.children[0]?.emit('close');
    subject.lane.release();
    expect(subject.lane.state).to.equal('idle');
    expect(subject.children[1]?.writableEnded).to.equal(true);
    for (const child of subject.children) child.destroy();
  });

  it('ready, replace(), and the next child dies: the replacement is tried again after a delay, not at the next request', () => {
    const subject = new Subject(5, { maxRequests: 2, maxInFlight: 10 });
    subject.lane.start();
    subject.child?.emit('spawn');
    subject.give();
    expect(subject.lane.isReplacementDue).to.equal(false);
    subject.give();
    expect(subject.lane.isReplacementDue).to.equal(true);
    subject.lane.replace();
    subject.crash();
    expect([subject.lane.state, subject.lane.isReplacementDue]).to.deep.equal(['ready', false]);
    subject.give();
    expect(subject.lane.isReplacementDue).to.equal(false);
    timers.fire();
    expect(subject.lane.isReplacementDue).to.equal(true);
    for (const child of subject.children) child.destroy();
  });

  it('backoff, with four children that are still dying: another is started when one of them is gone', () => {
    const subject = new Subject(100);
    subject.lane.start();
    for (let n = 0; n < 4; n += 1) {
      subject.child?.emit('spawn');
      subject.crash();
      timers.fire();
    }
    expect([subject.lane.state, subject.children.length]).to.deep.equal(['backoff', 4]);
    subject.lane.restart();
    timers.fire();
    expect([subject.lane.state, subject.children.length]).to.deep.equal(['backoff', 4]);
    subject.children[1]?.emit('close');
    expect([subject.lane.state, subject.children.length]).to.deep.equal(['starting', 5]);
    for (const child of subject.children) child.destroy();
  });
});
