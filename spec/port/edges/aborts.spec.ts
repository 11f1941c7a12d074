/** Abort signals: one for very many requests, of another make, fired late or before. */
import { getEventListeners, getMaxListeners, once, setMaxListeners, type EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { AbortController as PolyfilledController } from 'abort-controller';
import { expect } from 'chai';
import { Port, PortPool, type PortOptions } from '../../../lib';
import { Children, cpuMsOf, tallyOf, type AnyPort } from '../../support/port-edges';
import { ProcessEvents } from '../../support/process-events';
import { ask, obeyAll, obeys, program } from '../../support/ports';
import { until } from '../../support/processes';
import { rejection } from '../../support/streams';
import { stressed } from '../../support/stress';

const MANY = stressed(32_000, 8000);
const FEW = MANY / 8;
/** Eight times as many may take twenty times as long: what grows with the square takes sixty-four times. */
const MOST_TIMES = 20;
/** What is so short is all noise. */
const LEAST_MS = stressed(40, 10);

/** A child that takes everything and answers nothing. */
function deafMute(options: PortOptions = {}): Port {
  return new Port('sh', ['-c', 'exec cat >/dev/null'], { maxInFlight: 100_000, closeTimeoutMs: 50, ...options });
}

const listenersOn = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

async function expectLinear(run: (count: number) => Promise<number>): Promise<void> {
  const { stackTraceLimit } = Error;
  // the stack of each error would take longer than all that is measured here
  Error.stackTraceLimit = 0;
  try {
    await run(FEW);
    let many = await run(MANY);
    // after the many: what is compiled meanwhile would make the few look dear, and the many cheap beside them
    const few = Math.max(LEAST_MS, Math.min(await run(FEW), await run(FEW)));
    // the better of two: the second one only where the first does not do
    if (many / few >= MOST_TIMES) many = Math.min(many, await run(MANY));
    expect(many / few, `${FEW}: ${few} ms, ${MANY}: ${many} ms`).to.be.below(MOST_TIMES);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

describe(`an abort of ${MANY} requests takes time in proportion to their number`, function () {
  this.timeout(120_000);

  async function abortAll(make: () => AnyPort, count: number): Promise<number> {
    await using port = make();
    await port.start();
    const control = new AbortController();
    const requests = Array.from({ length: count }, () => port.request('x', { signal: control.signal }));
    const tally = tallyOf(requests);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const ms = await cpuMsOf(async () => {
      control.abort();
      expect(await tally).to.deep.equal({ ABORT_ERR: count });
    });
    expect([port.pending, port.queued, listenersOn(control.signal)]).to.deep.equal([0, 0, 0]);
    await port.destroy();
    return ms;
  }

  it('in flight', () => expectLinear((count) => abortAll(() => deafMute(), count)));
  it('in the queue', () => expectLinear((count) => abortAll(() => deafMute({ maxInFlight: 1 }), count)));
  // a Port is a pool of one lane
  const pools = stressed([2], []);
  for (const size of pools) {
    it(`in flight in a pool of ${size}`, () =>
      expectLinear((count) =>
        abortAll(
          () => new PortPool('sh', ['-c', 'exec cat >/dev/null'], { size, maxInFlight: 100_000, closeTimeoutMs: 50 }),
          count,
        ),
      ));
  }

  it('each with a signal of its own', () =>
    expectLinear(async (count) => {
      await using port = deafMute();
      await port.start();
      const controls = Array.from({ length: count }, () => new AbortController());
      const tally = tallyOf(controls.map(({ signal }) => port.request('x', { signal })));
      const ms = await cpuMsOf(async () => {
        for (const control of controls) control.abort();
        expect(await tally).to.deep.equal({ ABORT_ERR: count });
      });
      await port.destroy();
      return ms;
    }));

  /** Long enough that a busy machine has given all of them to the child by then: else some end in the queue. */
  const timeoutMs = stressed(3000, 400);

  it('by their deadline', () =>
    expectLinear(async (count) => {
      await using port = deafMute();
      await port.start();
      const tally = tallyOf(Array.from({ length: count }, () => port.request('x', { timeoutMs })));
      const ms = await cpuMsOf(async () => {
        expect(Object.values(await tally)).to.deep.equal([count]);
      });
      await port.destroy();
      return ms;
    }));

  it('by transform().destroy()', () =>
    expectLinear(async (count) => {
      await using port = deafMute();
      await port.start();
      const stage = port.transform({ concurrency: 100_000 });
      stage.on('error', () => undefined);
      for (let n = 0; n < count; n += 1) stage.write('x');
      await until(() => port.pending === count, 10_000);
      const ms = await cpuMsOf(async () => {
        const closed = once(stage as EventEmitter, 'close');
        stage.destroy();
        await closed;
        await until(() => port.pending === 0, 10_000);
      });
      expect(port.pending).to.equal(0);
      await port.destroy();
      return ms;
    }));

  it('by destroy() of the port', () =>
    expectLinear(async (count) => {
      await using port = deafMute();
      await port.start();
      const tally = tallyOf(Array.from({ length: count }, () => port.request('x')));
      return cpuMsOf(async () => {
        await port.destroy();
        expect(await tally).to.deep.equal({ CLOSED: count });
      });
    }));
});

describe('a port that is built with a signal that has fired', () => {
  for (const [name, make] of [
    ['Port', (signal: AbortSignal) => new Port('cat', { signal })],
    ['PortPool', (signal: AbortSignal) => new PortPool('cat', { size: 2, signal })],
  ] as const) {
    it(`rejects requests with an AbortError that has the reason, and starts nothing: ${name}`, async () => {
      const reason = new Error('why');
      const signal = AbortSignal.abort(reason);
      const port = make(signal);
      const children = new Children(port);
      for (const error of [await rejection(port.request('a')), await rejection(port.start())]) {
        expect(error).to.include({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
      }
      const sink = new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() });
      const stage = port.transform();
      const errors: Error[] = [];
      stage.on('error', (error) => errors.push(error));
      // newer Nodes' pipeline rejects with a premature close, the stage's own error is what it was
      await rejection(pipeline(Readable.from(['a']), stage, sink));
      expect(errors.map(({ name: errorName }) => errorName)).to.deep.equal(['AbortError']);
      expect(() => port.restart()).to.throw();
      await port.close();
      expect([port.state, children.started, listenersOn(signal)]).to.deep.equal(['closed', 0, 0]);
    });
  }

  it('later: what is pending is rejected with the AbortError, and the children end', async () => {
    const control = new AbortController();
    const port = obeys({ signal: control.signal });
    const children = new Children(port);
    await ask(port, 'echo warm');
    const pending = ['never', 'echo a'].map((message) => rejection(port.request(message)));
    control.abort('why');
    for (const error of await Promise.all(pending)) expect(error).to.include({ name: 'AbortError', cause: 'why' });
    await port.close();
    expect(children.alive).to.deep.equal([]);
    expect(listenersOn(control.signal)).to.equal(0);
  });
});

describe('a signal of another make: the package abort-controller', () => {
  /** Taken, so that it ends the request; or refused by name. */
  it('is taken for a request', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const control = new PolyfilledController();
    const request = rejection(port.request('never', { signal: control.signal as AbortSignal }));
    await turn();
    control.abort();
    const error = await request;
    if (error instanceof TypeError) expect(error.message).to.match(/^expected `signal` to be/);
    else expect(error.name).to.equal('AbortError');
    expect(await ask(port, 'echo on')).to.equal('on');
  });

  it('is taken for a request that is answered before it fires', async () => {
    await using port = obeys();
    const control = new PolyfilledController();
    const [outcome] = await Promise.allSettled([port.request('echo a', { signal: control.signal as AbortSignal })]);
    if (outcome.status === 'fulfilled') expect(String(outcome.value)).to.equal('a');
    else expect((outcome.reason as Error).message).to.match(/^expected `signal` to be/);
    control.abort();
    expect(await ask(port, 'echo on')).to.equal('on');
  });

  it('is taken for a port, or refused at once by name', async () => {
    const control = new PolyfilledController();
    let port: Port;
    try {
      port = obeys({ signal: control.signal as AbortSignal });
    } catch (error) {
      expect(error)
        .to.be.instanceOf(TypeError)
        .and.have.property('message')
        .that.matches(/^expected `signal` to be/);
      return;
    }
    const children = new Children(port);
    await ask(port, 'echo warm');
    const pending = rejection(port.request('never'));
    control.abort();
    expect((await pending).name).to.equal('AbortError');
    await port.close();
    expect(children.alive).to.deep.equal([]);
  });

  it('is no signal when it is half of one, for a port as for a request', async () => {
    await using port = obeys();
    for (const half of [{ aborted: false }, 5, null]) {
      const error = await rejection(port.request('echo a', { signal: half as unknown as AbortSignal }));
      expect(error).to.be.instanceOf(TypeError);
      expect(error.message).to.match(/^expected `signal` to be/);
      expect(() => new Port('cat', { signal: half as unknown as AbortSignal })).to.throw(TypeError, /`signal`/);
    }
  });
});

describe('a signal that fires late', () => {
  it('does nothing to a request that was settled, and no listener is left on it', async () => {
    const events = new ProcessEvents();
    await using port = obeys();
    const control = new AbortController();
    const { signal } = control;
    const limit = getMaxListeners(signal);
    await Promise.allSettled([
      port.request('echo a', { signal }),
      port.request('exit 1', { signal }),
      port.request('slowly 100 late', { signal, timeoutMs: 20 }),
      port.request('echo x', { signal, timeoutMs: 0 }),
      port.request(5 as unknown as string, { signal }),
    ]);
    expect([listenersOn(signal), getMaxListeners(signal)]).to.deep.equal([0, limit]);
    const { restarts } = port;
    control.abort();
    expect(await ask(port, 'echo on')).to.equal('on');
    expect(port.restarts).to.equal(restarts);
    expect(await events.stop()).to.deep.equal([]);
  });

  it('does nothing to thirty ports that are closed, and no listener is left on it', async () => {
    const events = new ProcessEvents();
    const control = new AbortController();
    const { signal } = control;
    const limit = getMaxListeners(signal);
    const ports = Array.from({ length: 30 }, () => new Port('cat', { signal }));
    await Promise.all(ports.filter((_, n) => n % 2 === 0).map((port) => port.request('a')));
    await Promise.all(ports.map((port, n) => (n % 3 === 0 ? port.destroy() : port.close())));
    expect([listenersOn(signal), getMaxListeners(signal)]).to.deep.equal([0, limit]);
    control.abort();
    expect(ports.map(({ state }) => state)).to.deep.equal(ports.map(() => 'closed'));
    expect(await events.stop()).to.deep.equal([]);
  });

  it('does nothing to a transform() that has ended', async () => {
    const events = new ProcessEvents();
    await using port = obeys();
    for (let round = 0; round < 3; round += 1) {
      const replies: string[] = [];
      for await (const reply of Readable.from(['echo a', 'echo b']).pipe(port.transform())) replies.push(String(reply));
      expect(replies).to.deep.equal(['a', 'b']);
    }
    expect(await events.stop()).to.deep.equal([]);
  });
});

describe('setMaxListeners(0, signal) by its owner, after the port or the request took it', () => {
  for (const [name, make] of [
    ['Port', (signal: AbortSignal) => obeys({ signal })],
    ['PortPool', (signal: AbortSignal) => obeyAll({ size: 2, signal })],
  ] as const) {
    for (const end of ['destroy', 'close'] as const) {
      it(`${end}() of a ${name} still ends the children`, async () => {
        const { signal } = new AbortController();
        const port = make(signal);
        const children = new Children(port);
        await ask(port, 'echo a');
        setMaxListeners(0, signal);
        await port[end]();
        expect([port.state, children.alive, listenersOn(signal)]).to.deep.equal(['closed', [], 0]);
      });
    }
  }

  it('a request is still settled, and the next one is answered', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const { signal } = new AbortController();
    const reply = ask(port, 'slowly 20 a', { signal });
    setMaxListeners(0, signal);
    expect(await reply).to.equal('a');
    expect(await ask(port, 'echo on')).to.equal('on');
  });

  it('a limit that the owner sets meanwhile is kept', async () => {
    await using port = new Port('perl', [program('obeys.pl')]);
    const { signal } = new AbortController();
    const reply = ask(port, 'slowly 20 a', { signal });
    setMaxListeners(50, signal);
    await reply;
    expect(getMaxListeners(signal)).to.be.within(49, 50);
  });
});
