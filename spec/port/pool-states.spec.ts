/** The drawing at the head of lib/port/pool.ts as a table: what each call and each event makes of each state. */
import { expect } from 'chai';
import { ExitError } from '../../lib/errors';
import { Pool } from '../../lib/port/pool';
import { LANE_SETTINGS, ScriptedChild, Timers } from '../support/scripted-child';

const crash = new ExitError({ command: 'worker', exitCode: 1, signal: null, durationMs: 1, stderrTail: '' });

const nothing = (): void => undefined;

/** Destroyed, it is gone when the spec says so. */
class SlowChild extends ScriptedChild {
  #gone: () => void = () => this.emit('close');

  override _destroy(_error: Error | null, callback: (error: null) => void): void {
    this.#gone = () => callback(null);
  }

  leave(): void {
    this.#gone();
  }
}

class Subject {
  readonly children: SlowChild[] = [];
  readonly controller = new AbortController();
  readonly pool: Pool;

  constructor(maxRestarts = 5) {
    const settings = {
      ...LANE_SETTINGS,
      maxRestarts,
      size: 1,
      minSize: 0,
      idleTimeoutMs: undefined,
      maxQueue: 10,
      maxMessageBytes: 255,
      requestTimeoutMs: undefined,
      runTimeoutMs: undefined,
      signal: this.controller.signal,
      encode: undefined,
      decode: undefined,
      open: () => {
        const child = new SlowChild();
        this.children.push(child);
        return child;
      },
    } as const;
    this.pool = new Pool(settings, nothing);
  }

  get child(): SlowChild | undefined {
    return this.children.at(-1);
  }

  request(): Promise<unknown> {
    return this.pool.request('x', {});
  }

  crash(): void {
    if (this.child?.listenerCount('error')) this.child.emit('error', crash);
  }
}

type State = 'idle' | 'ready' | 'asked' | 'broken' | 'closing' | 'leaving' | 'destroyed' | 'closed';

const reach: Record<State, () => Subject> = {
  idle: () => new Subject(),
  ready: () => {
    const subject = new Subject();
    subject.pool.start().catch(nothing);
    subject.child?.emit('spawn');
    return subject;
  },
  asked: () => {
    const subject = reach.ready();
    subject.request().catch(nothing);
    return subject;
  },
  broken: () => {
    const subject = new Subject(0);
    subject.pool.start().catch(nothing);
    subject.child?.emit('spawn');
    subject.crash();
    subject.child?.leave();
    return subject;
  },
  closing: () => {
    const subject = reach.asked();
    void subject.pool.close();
    return subject;
  },
  leaving: () => {
    const subject = reach.ready();
    void subject.pool.close();
    return subject;
  },
  destroyed: () => {
    const subject = reach.ready();
    void subject.pool.destroy();
    return subject;
  },
  closed: () => {
    const subject = reach.leaving();
    subject.child?.leave();
    return subject;
  },
};

type Event =
  | 'request()'
  | 'send()'
  | 'start()'
  | 'restart()'
  | 'close()'
  | 'destroy()'
  | 'its child answers'
  | 'its child dies'
  | 'its child is gone'
  | 'its signal fires';

const events: Record<Event, (subject: Subject) => unknown> = {
  'request()': (subject) => subject.request(),
  'send()': ({ pool }) => pool.send('x'),
  'start()': ({ pool }) => pool.start(),
  'restart()': ({ pool }) => pool.restart(undefined),
  'close()': ({ pool }) => pool.close(),
  'destroy()': ({ pool }) => pool.destroy(),
  'its child answers': ({ child }) => child?.emit('data', Buffer.from([1, 0x78])),
  'its child dies': (subject) => subject.crash(),
  'its child is gone': ({ child }) => child?.leave(),
  'its signal fires': ({ controller }) => controller.abort(),
};

/** What a call gives; nothing for an event. */
async function outcomeOf(call: () => unknown): Promise<string> {
  let outcome = '';
  try {
    const result = call();
    if (result instanceof Promise) {
      outcome = 'waits';
      result.then(
        () => (outcome = 'resolves'),
        (error: Error) => (outcome = error.name),
      );
    }
  } catch (error) {
    outcome = `throws ${(error as Error).name}`;
  }
  // A child that is gone says so in a tick of its own.
  for (let turns = 0; turns < 2; turns += 1) await new Promise(setImmediate);
  return outcome;
}

/** As the port tells it; `asked` where a request is in flight, `leaving` for what is closing and owes nobody anything. */
function stateOf({ pool: { state, pending } }: Subject): string {
  if (state === 'ready' && pending > 0) return 'asked';
  return state === 'closing' && pending === 0 ? 'leaving' : state;
}

const columns = Object.keys(events) as Event[];

const closed = ['. ClosedError', '. ClosedError', '. ClosedError', '. throws ClosedError'] as const;

/** The state afterwards, a dot where it stays, and what the call gives. Destroyed, a port is leaving like a closed one. */
const table: Record<State, readonly string[]> = {
  //       request()        send()            start()           restart()   close()            destroy()         answers     dies     gone  signal
  idle: [
    'starting waits',
    'starting waits',
    'starting waits',
    'starting',
    'closed resolves',
    'closed resolves',
    '.',
    '.',
    '.',
    'closed',
  ],
  ready: [
    'asked waits',
    '. resolves',
    '. resolves',
    '.',
    'leaving waits',
    'leaving waits',
    'backoff',
    'backoff',
    '.',
    'leaving',
  ],
  asked: [
    '. waits',
    '. resolves',
    '. resolves',
    '.',
    'closing waits',
    'leaving waits',
    'ready',
    'backoff',
    '.',
    'leaving',
  ],
  broken: [
    '. BrokenError',
    '. BrokenError',
    '. BrokenError',
    'starting',
    'closed resolves',
    'closed resolves',
    '.',
    '.',
    '.',
    'closed',
  ],
  closing: [...closed, '. waits', 'leaving waits', 'leaving', 'leaving', '.', 'leaving'],
  leaving: [...closed, '. waits', '. waits', '.', '.', 'closed', '.'],
  destroyed: [...closed, '. waits', '. waits', '.', '.', 'closed', '.'],
  closed: [...closed, '. resolves', '. resolves', '.', '.', '.', '.'],
};

describe('a pool: what each call and each event makes of each state', () => {
  const timers = new Timers();
  beforeEach(() => timers.begin());
  afterEach(() => timers.end());

  for (const [state, row] of Object.entries(table) as [State, readonly string[]][]) {
    for (const [index, event] of columns.entries()) {
      const cell = row[index];
      it(`${state}, ${event}: ${cell === '.' ? 'it stays' : String(cell)}`, async () => {
        const subject = reach[state]();
        await new Promise(setImmediate);
        const before = stateOf(subject);
        expect(before, 'before').to.equal(state === 'destroyed' ? 'leaving' : state);
        const outcome = await outcomeOf(() => events[event](subject));
        const after = stateOf(subject);
        expect(`${after === before ? '.' : after} ${outcome}`.trim()).to.equal(cell);
        const gone = subject.pool.destroy();
        for (const child of subject.children) child.leave();
        await gone;
      });
    }
  }

  it('the table has every state and every event', () => {
    expect(Object.keys(table).sort()).to.deep.equal(Object.keys(reach).sort());
    for (const row of Object.values(table)) expect(row).to.have.length(columns.length);
  });

  it('closing, destroy(): what was in flight is rejected, and both calls resolve when the child is gone', async () => {
    const subject = reach.ready();
    const asked = subject.request().catch((error: Error) => error.name);
    const ends = [subject.pool.close(), subject.pool.destroy()];
    expect(await asked).to.equal('ClosedError');
    expect(subject.pool.state).to.equal('closing');
    subject.child?.leave();
    await Promise.all(ends);
    expect(subject.pool.state).to.equal('closed');
  });

  it('closing, without an answer for `closeTimeoutMs`: it is destroyed', async () => {
    const subject = reach.ready();
    const asked = subject.request().catch((error: Error) => error.name);
    const end = subject.pool.close();
    timers.fire();
    expect(await asked).to.equal('ClosedError');
    subject.child?.leave();
    await end;
  });
});
