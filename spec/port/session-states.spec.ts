/** The drawing at the head of lib/port/session.ts as a table: what each event makes of each state. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { ExitError } from '../../lib/errors';
import { type PortChild, RequestIds } from '../../lib/port/protocol';
import { Request } from '../../lib/port/request';
import { Session, type SessionEnd, type SessionOwner, type SessionState } from '../../lib/port/session';
import { ScriptedChild, SESSION_SETTINGS, Timers } from '../support/scripted-child';

class Subject {
  readonly child = new ScriptedChild();
  readonly session: Session;
  readonly ends: SessionEnd[] = [];
  readonly told: string[] = [];
  readonly doneHooks: (() => void)[] = [];

  constructor(hasHooks: boolean, maxInFlight = 1, listens = false, isStartBounded = true) {
    const hook = (child: PortChild<unknown, unknown>): Promise<void> => {
      if (listens) child.receive().catch(() => undefined);
      return new Promise((resolve) => this.doneHooks.push(resolve));
    };
    const nothing = (): void => undefined;
    const owner: SessionOwner = {
      id: 0,
      tell: (...told) => void this.told.push(told[0]),
      ready: nothing,
      changed: nothing,
      over: (_session, end) => this.ends.push(end),
      gone: nothing,
      ask: () => Promise.reject(new Error('nobody asks')),
    };
    const hooks = hasHooks ? { start: hook, stop: hook } : {};
    this.session = new Session(
      1,
      { ...SESSION_SETTINGS, maxInFlight, isStartBounded, ...hooks, ids: new RequestIds(), open: () => this.child },
      owner,
    );
  }

  give(crashes = 0, runTimeoutMs?: number): Request {
    const facts = { kind: 'request', message: 'x', id: undefined, runTimeoutMs, place: this.session } as const;
    const request = new Request(facts, {}, { decode: undefined, settled: () => undefined });
    request.promise.catch(() => undefined);
    request.crashes = crashes;
    this.session.give(request);
    return request;
  }

  reply(): void {
    this.child.emit('data', Buffer.from('\x01a'));
  }

  exit(): void {
    this.child.exitCode = 0;
    this.child.emit('exit', 0, null);
  }
}

type Event =
  | 'spawn'
  | 'a reply'
  | 'leave()'
  | 'the hook is done'
  | 'its input closes'
  | 'its output closes'
  | 'exit'
  | 'error'
  | 'end()'
  | 'the timer';

const exitError = new ExitError({ command: 'worker', exitCode: 1, signal: null, durationMs: 1, stderrTail: '' });

const events: Record<Event, (subject: Subject, timers: Timers) => void> = {
  spawn: ({ child }) => child.emit('spawn'),
  'a reply': (subject) => subject.reply(),
  'leave()': ({ session }) => session.leave(),
  'the hook is done': ({ doneHooks }) => doneHooks.pop()?.(),
  'its input closes': ({ child }) => child.emit('inputclosed', 0),
  'its output closes': ({ child }) => child.emit('outputclosed'),
  exit: (subject) => subject.exit(),
  error: ({ child }) => child.emit('error', exitError),
  'end()': ({ session }) => session.end('ended', new Error('enough')),
  'the timer': (_subject, timers) => timers.fire(),
};

/** How each state is reached. Where a reply can come, one is owed. */
const reach: Record<SessionState, () => Promise<Subject> | Subject> = {
  starting: () => new Subject(false),
  preparing: () => {
    const subject = new Subject(true);
    subject.child.emit('spawn');
    return subject;
  },
  untried: () => {
    const subject = new Subject(false);
    subject.child.emit('spawn');
    subject.give();
    return subject;
  },
  serving: () => {
    const subject = new Subject(false);
    subject.child.emit('spawn');
    subject.give();
    subject.reply();
    subject.give();
    return subject;
  },
  draining: async () => {
    const subject = await reach.serving();
    subject.session.leave();
    return subject;
  },
  stopping: async () => {
    const subject = new Subject(true);
    subject.child.emit('spawn');
    subject.doneHooks.pop()?.();
    await turn();
    subject.session.leave();
    return subject;
  },
  leaving: () => {
    const subject = new Subject(false);
    subject.child.emit('spawn');
    subject.session.leave();
    return subject;
  },
  dying: async () => {
    const subject = await reach.serving();
    subject.child.emit('outputclosed');
    return subject;
  },
  over: async () => {
    const subject = await reach.serving();
    subject.session.end('ended', new Error('enough'));
    return subject;
  },
};

const columns: readonly Event[] = [
  'spawn',
  'a reply',
  'leave()',
  'the hook is done',
  'its input closes',
  'its output closes',
  'exit',
  'error',
  'end()',
  'the timer',
];

/** A dot: the state stays. */
const table: Record<SessionState, readonly (SessionState | '.')[]> = {
  //          spawn      reply       leave       hook       input    output   exit     error   end     timer
  starting: ['untried', 'over', 'leaving', '.', 'dying', 'dying', 'dying', 'over', 'over', '.'],
  preparing: ['.', 'over', 'leaving', 'untried', 'dying', 'dying', 'dying', 'over', 'over', 'over'],
  untried: ['.', 'serving', 'draining', '.', 'dying', 'dying', 'dying', 'over', 'over', 'over'],
  serving: ['.', '.', 'draining', '.', 'dying', 'dying', 'dying', 'over', 'over', '.'],
  draining: ['.', 'leaving', '.', '.', 'dying', 'dying', 'dying', 'over', 'over', '.'],
  stopping: ['.', 'over', '.', 'leaving', 'dying', 'dying', 'dying', 'over', 'over', 'over'],
  leaving: ['.', 'over', '.', '.', '.', '.', 'dying', 'over', 'over', 'over'],
  dying: ['.', '.', 'draining', '.', '.', '.', '.', 'over', 'over', 'over'],
  over: ['.', '.', '.', '.', '.', '.', '.', '.', '.', '.'],
};

describe('a session: what each event makes of each state', () => {
  const timers = new Timers();

  beforeEach(() => timers.begin());
  afterEach(() => timers.end());

  for (const [state, row] of Object.entries(table) as [SessionState, (typeof table)[SessionState]][]) {
    for (const [index, event] of columns.entries()) {
      const cell = row[index];
      const after = cell === '.' ? state : cell;
      it(`${state}, ${event}: ${cell === '.' ? 'it stays' : String(after)}`, async () => {
        const subject = await reach[state]();
        expect(subject.session.state, 'before').to.equal(state);
        events[event](subject, timers);
        // hooks are promises; and after a closed pipe the exit is waited for one turn more
        await turn();
        await turn();
        expect(subject.session.state).to.equal(after);
        expect(subject.ends.length, 'ends').to.equal(after === 'over' ? 1 : 0);
        if (after === 'over') expect(timers.live, 'timers').to.have.length(0);
        subject.child.destroy();
      });
    }
  }

  it('the table has every state and every event', () => {
    expect(Object.keys(table).sort()).to.deep.equal(Object.keys(reach).sort());
    for (const row of Object.values(table)) expect(row).to.have.length(columns.length);
    expect([...columns].sort()).to.deep.equal(Object.keys(events).sort());
  });

  it('dying, leave() with no reply owed: leaving', async () => {
    const subject = new Subject(false);
    subject.child.emit('spawn');
    subject.child.emit('outputclosed');
    subject.session.leave();
    expect(subject.session.state).to.equal('leaving');
    subject.child.destroy();
  });

  it('preparing, the end of a child of which messages wait for the hook: how it ended, and no word of a cut message', () => {
    const subject = new Subject(true, 1, true);
    const failure = new ExitError({ command: 'worker', exitCode: 1, signal: null, durationMs: 1, stderrTail: '' });
    subject.child.emit('spawn');
    subject.child.emit('data', Buffer.from('\x01a\x01b\x01c'));
    subject.exit();
    subject.child.emit('error', failure);
    expect(subject.ends.map(({ error }) => error)).to.deep.equal([failure]);
    expect(failure.cause).to.equal(undefined);
    subject.child.destroy();
  });

  it('dying, the timer, and in the same turn the exit, which lay unseen while the loop was blocked: the exit wins', async () => {
    const subject = await reach.dying();
    timers.fire();
    subject.exit();
    await turn();
    await turn();
    expect(subject.session.state).to.equal('dying');
    subject.child.emit('error', exitError);
    expect(subject.ends.map(({ kind, error }) => [kind, error])).to.deep.equal([['died', exitError]]);
    subject.child.destroy();
  });

  it('untried, a request without a limit: the child may take any time, unless `startTimeoutMs` was set', async () => {
    const subject = new Subject(false, 1, false, false);
    subject.child.emit('spawn');
    subject.give();
    await turn();
    expect([subject.session.state, timers.live.length]).to.deep.equal(['untried', 0]);
    subject.child.destroy();
  });

  it('untried, a request with a `runTimeoutMs`: its run begins with the first answer, which `startTimeoutMs` bounds', async () => {
    const subject = new Subject(false, 2, false, false);
    subject.child.emit('spawn');
    // the bound holds for one behind another too
    subject.give();
    const request = subject.give(0, 5);
    await turn();
    expect(timers.live).to.have.length(1);
    timers.fire();
    expect(subject.session.state).to.equal('over');
    expect(request.isSettled || subject.ends[0]?.written.includes(request)).to.equal(true);
    expect(String(subject.ends[0]?.error.cause)).to.match(/`startTimeoutMs`/);
    subject.child.destroy();
  });

  it('takes no other request beside one that a child has died of, until it is answered', async () => {
    const subject = new Subject(false, 4);
    subject.child.emit('spawn');
    expect(subject.session.room).to.equal(4);
    subject.give(1);
    expect(subject.session.room).to.equal(0);
    await turn();
    subject.reply();
    expect(subject.session.room).to.equal(4);
    subject.child.destroy();
  });

  it('takes requests in two of them alone', async () => {
    for (const state of Object.keys(reach) as SessionState[]) {
      const subject = await reach[state]();
      const { takesSends } = subject.session;
      expect(takesSends, state).to.equal(state === 'untried' || state === 'serving');
      subject.child.destroy();
    }
  });
});
