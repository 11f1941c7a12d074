import { expect } from 'chai';
import { once } from 'node:events';
import stream = require('node:stream');
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { BrokenError, ClosedError, ExitError, json, PoisonError, Port, QueueFullError, TimeoutError } from '../../lib';
import { MessageTooLargeError } from '../../lib/framing/framing-errors';
import { RequestTransform, type Requester, type TransformOptions } from '../../lib/port/request-transform';
import type { RequestOptions } from '../../lib/port/request';
import { obeys } from '../support/ports';
import { closed, rejection } from '../support/streams';
import { stressed } from '../support/stress';

// Node's declarations of version 20 lack it
const { compose } = stream as unknown as { readonly compose: (...streams: unknown[]) => Duplex };

interface Asked {
  readonly message: string;
  readonly options: RequestOptions;
  /** With its message in capitals, where nothing else is given. */
  reply(...given: [] | [unknown]): void;
  fail(error: Error): void;
}

/** Answers when the spec says so; like a port, it rejects what is aborted. */
class Desk implements Requester<string, string> {
  readonly asked: Asked[] = [];
  readonly open = new Set<Asked>();
  mostOpen = 0;
  readonly #signals = new Set<AbortSignal>();

  request(message: string, options: RequestOptions = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const settle = (): boolean => this.open.delete(asked);
      const asked: Asked = {
        message,
        options,
        reply: (...given) => settle() && resolve(given.length === 0 ? message.toUpperCase() : (given[0] as string)),
        fail: (error) => settle() && reject(error),
      };
      this.asked.push(asked);
      this.open.add(asked);
      this.mostOpen = Math.max(this.mostOpen, this.open.size);
      const { signal } = options;
      if (signal === undefined || this.#signals.has(signal)) return;
      this.#signals.add(signal);
      signal.addEventListener('abort', () => this.#abort(signal), { once: true });
    });
  }

  #abort(signal: AbortSignal): void {
    for (const asked of this.open) if (asked.options.signal === signal) asked.fail(new Error('aborted'));
  }

  /** The request for the message, once it has been made. */
  async for(message: string): Promise<Asked> {
    for (;;) {
      const asked = this.asked.find((one) => one.message === message);
      if (asked !== undefined) return asked;
      await turn();
    }
  }
}

/** Answers each with its capital letters after `ms(n)` milliseconds. */
class Clerk extends Desk {
  readonly #ms: (n: number) => number;

  constructor(ms: (n: number) => number) {
    super();
    this.#ms = ms;
  }

  override request(message: string, options?: RequestOptions): Promise<string> {
    const reply = super.request(message, options);
    const asked = this.asked.at(-1);
    setTimeout(() => asked?.reply(), this.#ms(this.asked.length - 1));
    return reply;
  }
}

function clerk(ms: (n: number) => number): Desk {
  return new Clerk(ms);
}

function stage(
  requester: Requester<string, string>,
  options: TransformOptions<string, string> = {},
  capacity = 4,
): RequestTransform<string, string> {
  return new RequestTransform(requester, capacity, options);
}

function rows(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `r${n}`);
}

function capitals(messages: readonly string[]): string[] {
  return messages.map((message) => message.toUpperCase());
}

/** What comes out into a sink that takes this long for each. */
async function collect(source: Iterable<string>, transform: Duplex, sinkMs = 0): Promise<string[]> {
  const output: string[] = [];
  const sink = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write: (reply: string, _encoding, callback) => {
      output.push(reply);
      if (sinkMs === 0) callback();
      else setTimeout(callback, sinkMs);
    },
  });
  await pipeline(Readable.from(source), transform, sink);
  return output;
}

/** Until nothing moves any more: everything here settles in turns of the event loop. */
async function idle(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await turn();
}

describe('transform()', () => {
  describe('order', () => {
    const uneven = (n: number): number => (n % 7 === 0 ? 8 : n % 3);

    it('is that of the requests, whatever is answered first', async () => {
      const output = await collect(rows(100), stage(clerk(uneven)));
      expect(output).to.deep.equal(capitals(rows(100)));
    });

    it('is that of the replies with `ordered: false`', async () => {
      const desk = new Desk();
      const transform = stage(desk, { ordered: false });
      const output = collect(['a', 'b', 'c'], transform);
      (await desk.for('c')).reply();
      await idle();
      (await desk.for('a')).reply();
      await idle();
      (await desk.for('b')).reply();
      expect(await output).to.deep.equal(['C', 'A', 'B']);
    });

    it('loses and doubles nothing with `ordered: false`', async () => {
      const output = await collect(rows(100), stage(clerk(uneven), { ordered: false }));
      expect(output).to.have.members(capitals(rows(100)));
    });

    it('goes on without those that onError dropped', async () => {
      const desk = new Desk();
      const output = collect(['a', 'b', 'c'], stage(desk, { onError: () => undefined }));
      (await desk.for('c')).reply();
      (await desk.for('b')).fail(new Error('bad'));
      (await desk.for('a')).reply();
      expect(await output).to.deep.equal(['A', 'C']);
    });
  });

  describe('how much is under way', () => {
    for (const concurrency of [1, 2, 8]) {
      it(`is ${concurrency} requests at once with \`concurrency: ${concurrency}\`, and no more`, async () => {
        const desk = clerk(() => 1);
        await collect(rows(50), stage(desk, { concurrency }));
        expect(desk.mostOpen).to.equal(concurrency);
      });
    }

    it('is what the children can hold, where nothing is said', async () => {
      const desk = clerk(() => 1);
      await collect(rows(50), stage(desk, {}, 3));
      expect(desk.mostOpen).to.equal(3);
    });

    for (const ordered of [true, false]) {
      it(`is bounded behind a sink that stands still, ordered: ${ordered}`, async () => {
        const desk = clerk(() => 0);
        const transform = stage(desk, { concurrency: 2, ordered });
        let taken = 0;
        const endless = function* (): Generator<string> {
          for (;;) yield `r${taken++}`;
        };
        const source = Readable.from(endless());
        source.pipe(transform);
        while (desk.asked.length < 2 * 16) await new Promise((resolve) => setImmediate(resolve));
        // Time for more than it should take.
        await new Promise((resolve) => setTimeout(resolve, 100));
        // the window, the replies that lie ready for a reader, what the source and the stage hold of messages, and the one that is out
        const bound = 2 * 16 + transform.readableHighWaterMark + 1;
        expect(desk.asked.length).to.be.at.most(bound);
        expect(taken).to.be.at.most(bound + transform.writableHighWaterMark + source.readableHighWaterMark + 1);
        source.destroy();
        transform.destroy();
        await closed(transform);
      });
    }

    it('is 16 times the concurrency behind one reply that does not come', async () => {
      const desk = new Desk();
      const transform = stage(desk, { concurrency: 3 });
      const output = collect(rows(200), transform);
      await desk.for('r0');
      for (;;) {
        await idle();
        const others = [...desk.open].filter(({ message }) => message !== 'r0');
        if (others.length === 0) break;
        for (const asked of others) asked.reply();
      }
      expect(desk.asked.length).to.equal(3 * 16);
      expect(transform.readableLength).to.equal(0);
      (await desk.for('r0')).reply();
      while (desk.asked.length < 200 || desk.open.size > 0) {
        await idle();
        for (const asked of desk.open) asked.reply();
      }
      expect(await output).to.deep.equal(capitals(rows(200)));
    });

    it('fits a window of any size', async () => {
      const count = stressed(150_000, 20_000);
      const desk = new Desk();
      const transform = stage(desk, { concurrency: 200_000 });
      const output = collect(rows(count), transform);
      while (desk.asked.length < count) await turn();
      for (const asked of [...desk.open].reverse()) asked.reply();
      expect(await output).to.have.length(count);
    });

    it('comes out complete at a slow sink behind a fast source', async () => {
      const desk = clerk(() => 0);
      expect(await collect(rows(60), stage(desk), 2)).to.deep.equal(capitals(rows(60)));
    });

    it('keeps one listener on the signal of its requests, not one for each', async () => {
      await using port = new Port('cat');
      const warnings: Error[] = [];
      const note = (warning: Error): number => warnings.push(warning);
      process.on('warning', note);
      await pipeline(Readable.from(rows(50)), port.transform({ concurrency: 30 }), new PassThrough().resume());
      await turn();
      process.off('warning', note);
      expect(warnings).to.deep.equal([]);
    });
  });

  describe('onError', () => {
    const bad = new ExitError({ command: 'c', exitCode: 1, signal: null, durationMs: 1, stderrTail: '' });

    async function run(options: TransformOptions<string, string>, fault: Error | undefined = bad): Promise<string[]> {
      const desk = new Desk();
      const output = collect(['a', 'b', 'c'], stage(desk, { concurrency: 3, ...options }));
      output.catch(() => {});
      (await desk.for('a')).reply();
      (await desk.for('b')).fail(fault);
      (await desk.for('c')).reply();
      return output;
    }

    it('gets the error and the message, and its replacement takes the place', async () => {
      const letters: unknown[] = [];
      const output = await run({
        onError: (error, message) => {
          letters.push([error, message]);
          return 'instead';
        },
      });
      expect(output).to.deep.equal(['A', 'instead', 'C']);
      expect(letters).to.deep.equal([[bad, 'b']]);
    });

    it('may answer later, in the same place', async () => {
      expect(await run({ onError: async (_error, message) => turn(`late ${message}`) })).to.deep.equal([
        'A',
        'late b',
        'C',
      ]);
    });

    it('drops the message with undefined', async () => {
      expect(await run({ onError: () => undefined })).to.deep.equal(['A', 'C']);
      expect(await run({ onError: async () => undefined })).to.deep.equal(['A', 'C']);
    });

    it('may give what is false and yet a reply', async () => {
      const desk = new Desk() as unknown as Requester<string, unknown>;
      const transform = new RequestTransform<string, unknown>(desk, 1, { onError: () => 0 });
      transform.end('a');
      (await (desk as unknown as Desk).for('a')).fail(bad);
      expect(await transform.toArray()).to.deep.equal([0]);
    });

    it('counts as in flight until it has answered', async () => {
      const desk = new Desk();
      let go = (): void => {};
      const onError = async (): Promise<undefined> => new Promise((resolve) => (go = () => resolve(undefined)));
      const output = collect(['a', 'b'], stage(desk, { concurrency: 1, onError }));
      (await desk.for('a')).fail(bad);
      await idle();
      expect(desk.asked).to.have.length(1);
      go();
      (await desk.for('b')).reply();
      expect(await output).to.deep.equal(['B']);
    });

    for (const [how, onError] of [
      [
        'throws',
        () => {
          throw new Error('the office burns');
        },
      ],
      [
        'rejects',
        async () => {
          throw new Error('the office burns');
        },
      ],
    ] as const) {
      // prettier-ignore
      it(`destroys the stage with its own error when it ${how}`, async () => {
        expect(await rejection(run({ onError }))).to.have.property('message', 'the office burns');
      });
    }

    it('takes what a requester of your own throws, at once or when there is room again', async () => {
      const thrower: Requester<string, string> = {
        request: (message) => {
          if (message === 'r1' || message === 'r2') throw new Error(`no ${message}`);
          return Promise.resolve(message.toUpperCase());
        },
      };
      for (const concurrency of [1, 8]) {
        const transform = stage(thrower, { concurrency, onError: (error) => error.message });
        expect(await collect(rows(4), transform)).to.deep.equal(['R0', 'no r1', 'no r2', 'R3']);
      }
    });

    it('destroys the stage when it gives null, which would end the stream in silence', async () => {
      const error = await rejection(run({ onError: () => null as unknown as string }));
      expect(error).to.be.instanceOf(TypeError);
      expect(error.message).to.equal('expected `onError` to give a reply or undefined, got null');
    });

    it('is not asked, where there is none: the error destroys the stage', async () => {
      expect(await rejection(run({}))).to.equal(bad);
    });

    const broken = new BrokenError({ command: 'c', restarts: 5, withinMs: 30_000, cause: bad });
    for (const fatal of [broken, new ClosedError('c'), new QueueFullError({ command: 'c', limit: 1 })]) {
      it(`does not get ${fatal.code}, which destroys the stage`, async () => {
        let calls = 0;
        const onError = (): undefined => void (calls += 1);
        expect(await rejection(run({ onError }, fatal))).to.equal(fatal);
        expect(calls).to.equal(0);
      });
    }

    for (const nothing of [null, undefined]) {
      it(`gets a reply that is ${nothing}, which would end the stream in silence`, async () => {
        const desk = new Desk();
        const seen: string[] = [];
        const onError = (error: Error): string => (seen.push(error.message), 'instead');
        const output = collect(['a', 'b'], stage(desk, { onError }));
        (await desk.for('a')).reply(nothing);
        (await desk.for('b')).reply();
        expect(await output).to.deep.equal(['instead', 'B']);
        expect(seen).to.deep.equal([`expected a reply that is neither null nor undefined, got ${nothing}`]);
      });
    }
  });

  describe('onError and a real child', () => {
    /** The message and the error of each dead letter, where the second of three rows is bad. */
    async function letters<Reply>(
      port: Port<string, Reply>,
      bad = 'bad',
      options: TransformOptions<string, Reply> = {},
    ): Promise<[string, Error][]> {
      const dead: [string, Error][] = [];
      const onError = (error: Error, message: string): undefined => void dead.push([message, error]);
      const transform = port.transform({ onError, ...options });
      const sink = new PassThrough({ objectMode: true });
      await pipeline(Readable.from(['echo good', bad, 'echo good']), transform, sink);
      expect(await sink.toArray()).to.have.length(3 - dead.length);
      await port.close();
      return dead;
    }

    it('gets EXIT', async () => {
      const [[message, error] = [], ...others] = await letters(obeys(), 'exit 3');
      expect(message).to.equal('exit 3');
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3, stderrTail: 'going with 3\n' });
      expect(others).to.deep.equal([]);
    });

    it('gets TIMEOUT', async () => {
      const port = obeys();
      await port.request('echo the deadline is not for the first start');
      const [[message, error] = [], ...others] = await letters(port, 'never', { timeoutMs: 500 });
      expect(message).to.equal('never');
      expect(error).to.be.instanceOf(TimeoutError).and.include({ timeoutMs: 500, phase: 'header' });
      expect(others).to.deep.equal([]);
    });

    it('gets POISON', async () => {
      const [[message, error] = [], ...others] = await letters(obeys(), 'exit 3', { idempotent: true });
      expect(message).to.equal('exit 3');
      expect(error).to.be.instanceOf(PoisonError).and.include({ crashes: 2 });
      expect(others).to.deep.equal([]);
    });

    it('gets TOO_LARGE, of a request and of a reply', async () => {
      const [[message, error] = []] = await letters(obeys({ maxMessageBytes: 20 }), 'x'.repeat(21));
      expect(message).to.equal('x'.repeat(21));
      expect(error).to.be.instanceOf(MessageTooLargeError);
      const [[, announced] = []] = await letters(obeys({ maxMessageBytes: 20 }), 'raw 00000015');
      expect(announced).to.be.instanceOf(MessageTooLargeError).and.include({ messageBytes: 21 });
    });

    it('gets what `encode` and `decode` threw, and a reply that is null', async () => {
      const thrown = new Error('not this one');
      const refuse = (row: string): string => {
        if (row === 'bad') throw thrown;
        return row;
      };
      expect(await letters(new Port('cat', { encode: refuse }))).to.deep.equal([['bad', thrown]]);
      expect(await letters(new Port('cat', { decode: (m) => refuse(String(m)) }))).to.deep.equal([['bad', thrown]]);
      const nothing = new Port('cat', { ...json, encode: (row: string) => (row === 'bad' ? 'null' : '1') });
      const [[message, error] = []] = await letters(nothing);
      expect(message).to.equal('bad');
      expect(error).to.be.instanceOf(TypeError);
    });

    it('does not get BROKEN', async () => {
      const port = new Port('no-such-program-anywhere');
      const error = await rejection(letters(port));
      expect(error).to.be.instanceOf(BrokenError);
      await port.close();
    });

    it('does not get CLOSED', async () => {
      const port = new Port('cat');
      await port.close();
      expect(await rejection(letters(port))).to.be.instanceOf(ClosedError);
    });

    for (const [what, error] of [
      ['an error of the caller', new Error('that will do')],
      ['no error', undefined],
    ] as const) {
      it(`does not get what a port is destroyed with, ${what}`, async () => {
        const port = new Port('sleep', ['30']);
        let calls = 0;
        const transform = port.transform({ onError: () => void (calls += 1) });
        transform.end('a');
        void port.destroy(error);
        const [got] = (await once(transform, 'error')) as [Error];
        if (error === undefined) expect(got).to.be.instanceOf(ClosedError);
        else expect(got).to.equal(error);
        expect(calls).to.equal(0);
        await port.close();
      });
    }

    it('does not get the abort of the port', async () => {
      const control = new AbortController();
      const port = new Port('sleep', ['30'], { signal: control.signal });
      let calls = 0;
      const transform = port.transform({ onError: () => void (calls += 1) });
      transform.end('a');
      control.abort();
      expect(((await once(transform, 'error')) as [Error])[0]).to.have.property('name', 'AbortError');
      expect(calls).to.equal(0);
      await port.close();
    });
  });

  describe('its end', () => {
    it('comes for an empty source, which starts no child', async () => {
      await using port = new Port('cat');
      expect(await collect([], port.transform())).to.deep.equal([]);
      expect(port.state).to.equal('idle');
    });

    it('comes after the last reply, not after the last request', async () => {
      const desk = new Desk();
      const transform = stage(desk);
      let isEnded = false;
      transform.on('end', () => (isEnded = true)).resume();
      transform.end('a');
      const asked = await desk.for('a');
      await idle();
      expect([isEnded, transform.writableFinished]).to.deep.equal([false, false]);
      asked.reply();
      await once(transform, 'end');
    });

    it('comes where all were dropped', async () => {
      const desk = clerk(() => 0);
      const transform = stage(desk, { onError: () => undefined });
      desk.request = async () => {
        throw new Error('bad');
      };
      expect(await collect(rows(40), transform)).to.deep.equal([]);
    });

    it('comes though nobody reads, where the last replies were dropped', async () => {
      const desk = new Desk();
      const transform = stage(desk, { concurrency: 50, onError: () => undefined });
      for (const row of rows(40)) transform.write(row);
      transform.end();
      await desk.for('r39');
      transform.read(0);
      const finished = once(transform, 'finish');
      for (const asked of desk.open) {
        if (Number(asked.message.slice(1)) < transform.readableHighWaterMark) asked.reply();
        else asked.fail(new Error('bad'));
      }
      await finished;
      expect(await transform.toArray()).to.have.length(transform.readableHighWaterMark);
    });

    it('aborts its requests when it is destroyed', async () => {
      const desk = new Desk();
      const transform = stage(desk, { concurrency: 3 });
      for (const row of rows(3)) transform.write(row);
      await desk.for('r2');
      transform.destroy();
      await closed(transform);
      expect(desk.asked.map(({ options }) => options.signal?.aborted)).to.deep.equal([true, true, true]);
      expect(desk.open.size).to.equal(0);
    });

    it('swallows what it asked for, where others wait for the same child', async () => {
      await using port = obeys({ maxInFlight: 4 });
      await port.request('echo up');
      const transform = port.transform();
      for (const message of ['slowly 50 a', 'echo b']) transform.write(message);
      const other = port.request('echo other');
      await turn(); // they are written together at the end of their tick
      transform.destroy();
      await closed(transform);
      expect(String(await other)).to.equal('other');
      expect(port.restarts).to.equal(0);
    });

    it('ends the child that nobody else waits for', async () => {
      await using port = obeys({ maxInFlight: 4 });
      await port.request('echo up');
      const transform = port.transform();
      for (const message of ['never', 'echo b']) transform.write(message);
      await turn(); // they are written together at the end of their tick
      transform.destroy();
      await closed(transform);
      expect(String(await port.request('echo other'))).to.equal('other');
      expect(port.restarts).to.equal(1);
    });

    it('calls back a write that it holds, when it is destroyed', async () => {
      const transform = stage(new Desk(), { concurrency: 1 });
      const called = new Promise((resolve) => transform.write('a', resolve));
      transform.destroy();
      await called;
      await closed(transform);
    });

    it('comes with the error of the source, and nothing is asked any more', async () => {
      const desk = new Desk();
      const failing = function* (): Generator<string> {
        yield 'a';
        throw new Error('no more rows');
      };
      const transform = stage(desk);
      const error = await rejection(
        pipeline(Readable.from(failing()), transform, new PassThrough({ objectMode: true })),
      );
      expect(error.message).to.equal('no more rows');
      expect([transform.destroyed, desk.open.size]).to.deep.equal([true, 0]);
    });

    it('comes with the error of the sink', async () => {
      const desk = clerk(() => 0);
      const transform = stage(desk);
      const sink = new Writable({
        objectMode: true,
        write: (_row, _encoding, callback) => callback(new Error('full')),
      });
      expect((await rejection(pipeline(Readable.from(rows(50)), transform, sink))).message).to.equal('full');
      expect(transform.destroyed).to.equal(true);
      await idle();
    });

    it('destroys the source and the sink with the error of a request', async () => {
      const desk = new Desk();
      const [source, sink] = [Readable.from(rows(50)), new PassThrough({ objectMode: true })];
      const done = rejection(pipeline(source, stage(desk), sink));
      (await desk.for('r1')).fail(new Error('bad'));
      expect((await done).message).to.equal('bad');
      expect([source.destroyed, sink.destroyed]).to.deep.equal([true, true]);
    });
  });

  describe('options', () => {
    const wrong: [string, unknown, new () => Error][] = [
      ['concurrency', 0, RangeError],
      ['concurrency', 1.5, RangeError],
      ['concurrency', '2', TypeError],
      ['ordered', 'no', TypeError],
      ['onError', 'drop', TypeError],
      ['idempotent', 1, TypeError],
      ['timeoutMs', 0, RangeError],
      ['timeoutMs', 2 ** 31, RangeError],
      ['timeoutMs', '1s', TypeError],
      ['highWaterMark', 4, TypeError],
      ['constructor', 4, TypeError],
    ];
    for (const [key, value, kind] of wrong) {
      it(`refuses ${key}: ${JSON.stringify(value)}, by name and at once`, async () => {
        await using port = new Port('cat');
        expect(() => port.transform({ [key]: value })).to.throw(kind, `\`${key}\``);
      });
    }

    it('refuses what is no object', async () => {
      await using port = new Port('cat');
      expect(() => port.transform(null as never)).to.throw(TypeError, 'got null');
    });

    it('takes undefined for what is not said', async () => {
      const unsaid = { concurrency: undefined, ordered: undefined, onError: undefined, idempotent: undefined };
      const desk = clerk(() => 0);
      expect(await collect(['a'], stage(desk, { ...unsaid, timeoutMs: undefined }))).to.deep.equal(['A']);
    });

    it('hands `idempotent` and `timeoutMs` on with each request', async () => {
      const desk = clerk(() => 0);
      await collect(['a'], stage(desk, { idempotent: true, timeoutMs: 123 }));
      expect(desk.asked[0]?.options).to.include({ idempotent: true, timeoutMs: 123 });
    });
  });

  describe('in company', () => {
    it('is a source for `for await`, and a break aborts what is in flight', async () => {
      const desk = clerk((n) => (n === 0 ? 0 : 5));
      const transform = stage(desk);
      Readable.from(rows(100)).pipe(transform);
      for await (const reply of transform) {
        expect(reply).to.equal('R0');
        break;
      }
      await closed(transform);
      expect([transform.destroyed, desk.open.size]).to.deep.equal([true, 0]);
    });

    it('is a part of compose()', async () => {
      const both = compose(stage(clerk(() => 1)), new PassThrough({ objectMode: true }));
      expect(await collect(rows(30), both)).to.deep.equal(capitals(rows(30)));
    });

    it('is a pair of web streams through toWeb()', async () => {
      const web = Duplex.toWeb(stage(clerk(() => 1)));
      const output: unknown[] = [];
      const replies = Readable.toWeb(Readable.from(rows(30))).pipeThrough(web as never) as AsyncIterable<unknown>;
      for await (const reply of replies) output.push(reply);
      expect(output).to.deep.equal(capitals(rows(30)));
    });

    it('runs beside a second stage and single requests on the same port, each with its own replies', async () => {
      await using port = new Port<string, string>('cat', { maxInFlight: 4, decode: String });
      const [first, second, single] = await Promise.all([
        collect(rows(200), port.transform()),
        collect(capitals(rows(200)), port.transform({ concurrency: 3 })),
        Promise.all(rows(50).map((row) => port.request(`single ${row}`))),
      ]);
      expect(first).to.deep.equal(rows(200));
      expect(second).to.deep.equal(capitals(rows(200)));
      expect(single).to.deep.equal(rows(50).map((row) => `single ${row}`));
    });
  });
});
