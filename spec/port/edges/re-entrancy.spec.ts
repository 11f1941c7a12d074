/** User code is called in the midst of a port's work, and calls back. */
import { once, type EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { Port, type PortEvents, type PortOptions } from '../../../lib';
import { Children, tallyOf, type AnyPort } from '../../support/port-edges';
import { ask, obeyAll, obeys, program } from '../../support/ports';
import { rejection, sh } from '../../support/streams';
import { stressed } from '../../support/stress';

const QUICK = { backoff: { minMs: 1, maxMs: 2 } };
const makers: [string, (options: PortOptions) => AnyPort][] = [
  ['Port', (options) => obeys(options)],
  ['PortPool', (options) => obeyAll({ size: 2, ...options })],
];

describe('requests that are refused by the thousand in one tick', () => {
  const tooLong = 'x'.repeat(101);
  /** Fewer characters than the limit has bytes, and more bytes: known only when they are encoded. */
  const tooLongInBytes = 'é'.repeat(60);
  const whats = { 'too long': tooLong, 'too long in bytes': tooLongInBytes };
  type Case = readonly [count: number, what: keyof typeof whats, maxInFlight: number];
  const all = [3000, 20_000].flatMap((count) =>
    ([1, 8] as const).flatMap((maxInFlight): Case[] => [
      [count, 'too long', maxInFlight],
      [count, 'too long in bytes', maxInFlight],
    ]),
  );
  // what is refused at once knows no child; what is refused by a child is refused one by one, or many in one batch
  const some: Record<string, Case[]> = {
    Port: [
      [5000, 'too long', 8],
      [5000, 'too long in bytes', 1],
      [5000, 'too long in bytes', 8],
    ],
    PortPool: [[3000, 'too long in bytes', 1]],
  };

  for (const [name, make] of makers) {
    for (const [count, what, maxInFlight] of stressed(all, some[name]!)) {
      it(`are all rejected, and the next one is answered: ${count} ${what}, ${maxInFlight} in flight, ${name}`, async () => {
        await using port = make({ maxMessageBytes: 100, maxInFlight });
        await ask(port, 'echo warm');
        const tally = tallyOf(Array.from({ length: count }, () => port.request(whats[what])));
        const next = ask(port, 'echo next');
        expect(await tally).to.deep.equal({ MESSAGE_TOO_LARGE: count });
        expect(await next).to.equal('next');
        expect([port.pending, port.queued, port.restarts]).to.deep.equal([0, 0, 0]);
      });
    }
  }

  /** The depth of a stack that has a few frames for each. */
  const MANY = stressed(3000, 2000);

  it('before there is a child, and while another is in flight', async () => {
    await using port = obeys({ maxMessageBytes: 100, maxInFlight: 4 });
    const cold = tallyOf(Array.from({ length: MANY }, () => port.request(tooLongInBytes)));
    expect(await ask(port, 'echo a')).to.equal('a');
    expect(await cold).to.deep.equal({ MESSAGE_TOO_LARGE: MANY });
    const slow = ask(port, 'slowly 50 b');
    const behind = tallyOf(Array.from({ length: MANY }, () => port.request(tooLongInBytes)));
    expect([await slow, await behind]).to.deep.equal(['b', { MESSAGE_TOO_LARGE: MANY }]);
  });

  it('among good ones: each good one has its own reply', async () => {
    await using port = obeys({ maxMessageBytes: 100, maxInFlight: 8 });
    const rows = Array.from({ length: MANY }, (_, n) =>
      n % 3 === 0 ? `echo ${n}` : n % 3 === 1 ? tooLong : tooLongInBytes,
    );
    const outcomes = await Promise.allSettled(rows.map((row) => port.request(row)));
    for (const [n, outcome] of outcomes.entries()) {
      if (n % 3 === 0) expect(String((outcome as PromiseFulfilledResult<Buffer>).value)).to.equal(String(n));
      else expect(outcome.status).to.equal('rejected');
    }
  });

  it('as rows of a transform()', async () => {
    await using port = obeys({ maxMessageBytes: 100, maxInFlight: 8 });
    let failures = 0;
    const stage = port.transform({ onError: () => void (failures += 1) });
    for (let n = 0; n < MANY; n += 1) stage.write(n % 2 === 0 ? tooLong : tooLongInBytes);
    stage.end('echo last');
    const replies: string[] = [];
    for await (const reply of stage) replies.push(String(reply));
    expect([failures, replies]).to.deep.equal([MANY, ['last']]);
  });

  for (const [what, options, message, end] of [
    ['messages of a wrong type', {}, 5, 'INVALID_MESSAGE'],
    ['messages for which encode throws', { encode: (m: unknown) => encodeOrThrow(m) }, 'throw', 'no such row'],
    ['requests whose signal has fired', {}, 'aborted', 'ABORT_ERR'],
    ['requests for a full queue', { maxQueue: 0 }, 'echo x', 'QUEUE_FULL'],
  ] as const) {
    it(what, async () => {
      await using port = obeys(options);
      await ask(port, 'echo warm');
      const slow = ask(port, 'slowly 30 a');
      const signal = message === 'aborted' ? AbortSignal.abort() : undefined;
      const requests = Array.from({ length: 2 * MANY }, () => port.request(message as string, { signal }));
      expect(await tallyOf(requests)).to.deep.equal({ [end]: 2 * MANY });
      expect(await slow).to.equal('a');
      expect(await ask(port, 'echo next')).to.equal('next');
    });
  }
});

function encodeOrThrow(message: unknown): string {
  if (message === 'throw') throw new Error('no such row');
  return message as string;
}

/** A rejection that is looked at later. */
function quiet(result: unknown): unknown {
  if (result instanceof Promise) result.catch(() => undefined);
  return result;
}

describe('restart() in the midst of what the monitor tells', () => {
  for (const event of ['lanebroken', 'broken'] as const) {
    it(`inside ${event} heals the port: the next request is answered, and nobody is told that a port is broken which is not`, async () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
      await using port = new Port(...sh(`[ -d ${directory} ] && exit 9; exec cat`), { maxRestarts: 0 });
      const states: string[] = [];
      (port as EventEmitter).once(event, () => {
        rmSync(directory, { recursive: true });
        port.restart();
      });
      // comes after the one above: by then the port is starting, and of that nobody is told that it is broken
      if (event === 'lanebroken') port.on('broken', () => states.push(port.state));
      await rejection(port.request('a'));
      expect(await ask(port, 'b')).to.equal('b');
      expect(states).to.deep.equal([]);
      expect(existsSync(directory)).to.equal(false);
    });
  }

  it('inside lanebroken of each lane of a pool: no `broken`, and all lanes are there again', async () => {
    await using pool = obeyAll({ size: 3, restart: 'temporary' });
    const children = new Children(pool);
    let broken = 0;
    pool.on('broken', () => (broken += 1));
    pool.on('lanebroken', () => pool.restart());
    await Promise.allSettled(Array.from({ length: 6 }, () => pool.request('exit 1')));
    expect(await ask(pool, 'echo on')).to.equal('on');
    expect([broken, pool.state]).to.deep.equal([0, 'ready']);
    await pool.close();
    expect(children.alive).to.deep.equal([]);
  });

  // all are told at one place, when all that belongs to them is done: with a child, and without
  for (const event of stressed(['exit', 'restart', 'spawn', 'unexpected'], ['exit', 'spawn'])) {
    it(`inside ${event}, each time: one child is there in the end, and requests are answered`, async () => {
      await using port = obeys({ ...QUICK, maxRestarts: 100 });
      const children = new Children(port);
      let calls = 0;
      (port as EventEmitter).on(event, () => {
        calls += 1;
        if (calls <= 5) port.restart();
      });
      for (let round = 0; round < stressed(4, 2); round += 1) {
        await Promise.allSettled([port.request('exit 1'), port.request('raw 00000001410000000142')]);
        expect(await ask(port, `echo ${round}`)).to.equal(String(round));
      }
      expect(calls).to.be.above(0);
      (port as EventEmitter).removeAllListeners(event);
      await port.close();
      expect(children.alive).to.deep.equal([]);
    });
  }
});

describe('every public method, inside every event', () => {
  type Method = (port: AnyPort) => unknown;
  const methods = {
    'request()': (port) => port.request('echo inside'),
    'request() with a deadline': (port) => port.request('never', { timeoutMs: 30, runTimeoutMs: 1000 }),
    'transform()': async (port) => {
      const stage = port.transform({ onError: () => undefined });
      stage.on('error', () => undefined);
      stage.resume().end('echo row');
      await new Promise((resolve) => stage.once('close', resolve));
    },
    'restart()': (port) => port.restart(),
    'start()': (port) => port.start(),
    'close()': (port) => port.close(),
    'destroy()': (port) => port.destroy(),
    'destroy(error)': (port) => port.destroy(new Error('enough')),
    '[Symbol.asyncDispose]()': (port) => port[Symbol.asyncDispose](),
    'statistics()': (port) => port.statistics(),
    'the getters': (port) => [port.state, port.pending, port.queued, port.restarts],
  } satisfies Record<string, Method>;
  const allMethods: [string, Method][] = Object.entries(methods);
  /** Each leaves the port in a state of its own; the others do what these do, or look only. */
  const changing = allMethods.filter(([method]) => ['request()', 'restart()', 'close()', 'destroy()'].includes(method));
  const ofUserTurns = changing.filter(([method]) => ['request()', 'destroy()'].includes(method));
  const events: Record<Exclude<keyof PortEvents, 'message'>, (port: AnyPort) => Promise<unknown>> = {
    spawn: (port) => port.request('echo a'),
    exit: (port) => port.request('exit 1'),
    restart: (port) => port.request('exit 1'),
    lanebroken: (port) => port.request('exit 1'),
    broken: (port) => port.request('exit 1'),
    unexpected: (port) => port.request('raw 00000001410000000142'),
  };
  const all = Object.entries(events);
  // a Port is a pool of one lane: of more than one, the exit of one may find another alive
  const ofPools = stressed(
    all,
    all.filter(([event]) => event === 'exit'),
  );
  const methodsIn = (event: string, name: string): [string, Method][] =>
    stressed(allMethods, event === 'exit' && name === 'Port' ? allMethods : changing);
  for (const [name, make] of makers) {
    for (const [event, cause] of name === 'Port' ? all : ofPools) {
      it(`${name}, ${event}: each promise settles, and no child is left`, async function () {
        this.timeout(60_000);
        await Promise.all(
          methodsIn(event, name).map(async ([method, call]) => {
            const breaks = event.endsWith('broken');
            const port = make({
              ...QUICK,
              closeTimeoutMs: 300,
              startTimeoutMs: 20_000,
              ...(breaks && { restart: 'temporary' }),
            });
            const children = new Children(port);
            const promises: unknown[] = [];
            (port as EventEmitter).once(event, () => {
              try {
                promises.push(quiet(call(port)));
              } catch (error) {
                expect((error as { code?: string }).code, method).to.equal('ERR_REXPORT_CLOSED');
              }
            });
            const outside = [cause(port), port.request('echo b'), port.request('echo c')];
            // the last lane of a pool breaks when all have been asked
            if (breaks) outside.push(...Array.from({ length: 4 }, () => cause(port)));
            const seen = once(port as EventEmitter, event);
            await Promise.allSettled(outside);
            await seen;
            await Promise.allSettled(promises);
            await port.close();
            expect([port.state, port.pending, children.alive], method).to.deep.equal(['closed', 0, []]);
            expect(promises, method).to.have.length.below(2);
          }),
        );
      });
    }
  }

  const insideThePort = ['encode', 'decode', 'onError'] as const;
  const inTurnsOfTheUser = ['data', 'write callback', 'abort'] as const;
  const hooks = [
    ...insideThePort.map((hook) => [hook, stressed(allMethods, changing)] as const),
    ...inTurnsOfTheUser.map((hook) => [hook, stressed(allMethods, ofUserTurns)] as const),
  ];
  for (const [hook, called] of hooks) {
    it(`and inside ${hook}`, async function () {
      this.timeout(60_000);
      await Promise.all(
        called.map(async ([method, call]) => {
          const promises: unknown[] = [];
          let isCalled = false;
          const visit = (): void => {
            if (isCalled) return;
            isCalled = true;
            try {
              promises.push(quiet(call(port as unknown as AnyPort)));
            } catch (error) {
              expect((error as { code?: string }).code, method).to.equal('ERR_REXPORT_CLOSED');
            }
          };
          const visitIn = (name: string): void => (name === hook ? visit() : undefined);
          const port = new Port<string, string>('perl', [program('obeys.pl')], {
            ...QUICK,
            closeTimeoutMs: 300,
            startTimeoutMs: 2000,
            maxInFlight: 2,
            encode: (message) => (visitIn('encode'), message),
            decode: (message) => (visitIn('decode'), String(message)),
          });
          const children = new Children(port as unknown as AnyPort);
          const control = new AbortController();
          control.signal.addEventListener('abort', () => visitIn('abort'));
          const outside = Promise.allSettled([
            port.request('echo a'),
            port.request('slowly 20 b', { signal: control.signal }),
            port.request('echo c'),
          ]);
          const stage = port.transform({
            onError: () => {
              visitIn('onError');
              return undefined;
            },
          });
          stage.on('data', () => visitIn('data')).on('error', () => undefined);
          for (const row of ['echo d', 'exit 1', 'echo e', 'echo f']) stage.write(row, () => visitIn('write callback'));
          stage.end();
          control.abort();
          await outside;
          if (!stage.closed) await new Promise((resolve) => stage.once('close', resolve));
          expect(isCalled, method).to.equal(true);
          await Promise.allSettled(promises);
          await port.close();
          expect([port.state, port.pending, children.alive], method).to.deep.equal(['closed', 0, []]);
        }),
      );
    });
  }
});

describe('a decode that asks the port again', () => {
  it('is answered in order, whatever comes in one chunk', async () => {
    const inner: Promise<string>[] = [];
    const port = new Port<string, string>('cat', {
      maxInFlight: 4,
      encode: (message) => message,
      decode: (message) => {
        const text = String(message);
        if (!text.startsWith('again ')) inner.push(port.request(`again ${text}`));
        return text;
      },
    });
    const outer = await Promise.all(Array.from({ length: 200 }, (_, n) => port.request(String(n))));
    expect(outer).to.deep.equal(Array.from({ length: 200 }, (_, n) => String(n)));
    expect(await Promise.all(inner)).to.deep.equal(outer.map((text) => `again ${text}`));
    await port.close();
  });

  it('may destroy the port in the midst of a chunk: what was not decoded is rejected', async () => {
    const port: Port<string, string> = new Port<string, string>('cat', {
      maxInFlight: 100,
      encode: (message) => message,
      decode: (message) => {
        if (String(message) === '3') void port.destroy();
        return String(message);
      },
    });
    const tally = await tallyOf(Array.from({ length: 10 }, (_, n) => port.request(String(n))));
    expect(tally['reply']).to.equal(4);
    expect(tally['CLOSED']).to.equal(6);
    await port.close();
  });
});
