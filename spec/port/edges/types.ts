/**
 * What the checker says of ports: `tsc` reads this and nothing runs it. What must not compile has `@ts-expect-error` above it,
 * and `tsc` fails where there is no error to expect.
 */
import { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expectTypeOf } from 'expect-type';
import {
  json,
  Port,
  PortPool,
  type BrokenError,
  type ExitError,
  type PortOptions,
  type RequestTransform,
  type TimeoutError,
} from '../../../lib';

interface Row {
  id: number;
}
interface Score {
  score: number;
}
declare const row: Row;
declare const error: TimeoutError | ExitError | BrokenError;

export const right = {
  async 'a Port without types takes messages and gives Buffers'() {
    const port = new Port('x');
    const reply = await port.request('a');
    expectTypeOf(reply).toEqualTypeOf<Buffer>();
    await port.request(new Uint8Array(3), { timeoutMs: 5, runTimeoutMs: 5, idempotent: true });
  },

  async 'a Port with types and a codec, in both forms of the constructor'() {
    const port = new Port<Row, Score>('x', { ...json });
    const reply = await port.request(row);
    expectTypeOf(reply).toEqualTypeOf<Score>();
    new Port<Row, Score>('x', ['arg'], { ...json, maxInFlight: 3 });
    new PortPool<Row, Score>('x', { ...json, size: 2 });
    new PortPool<Row, Score>('x', [], {
      encode: (r: Row) => String(r.id),
      decode: (m: Buffer) => ({ score: m.length }),
    });
  },

  async 'the types come from the codec where none are named'() {
    const port = new Port('x', { encode: (r: Row) => String(r.id), decode: (m: Buffer) => ({ score: m.length }) });
    const reply = await port.request(row);
    expectTypeOf(reply).toEqualTypeOf<{ score: number }>();
  },

  async 'the defaults may be named without a codec'() {
    new Port<string, Buffer>('x');
    new PortPool<string | NodeJS.ArrayBufferView, Buffer>('x');
  },

  async 'transform() goes into a pipeline, a pipe and from()'() {
    const pool = new PortPool<Row, Score>('x', { ...json });
    await pipeline(Readable.from([row]), pool.transform(), new Writable({ objectMode: true }));
    await pipeline(
      async function* () {
        yield row;
      },
      pool.transform(),
      async function (scores) {
        for await (const s of scores) s.score;
      },
    );
    Readable.from([row]).pipe(pool.transform()).pipe(new Writable());
  },

  async 'a stage of transform() is written requests and read replies, in every way'() {
    const stage = new PortPool<Row, Score>('x', { ...json }).transform();
    expectTypeOf(stage).toEqualTypeOf<RequestTransform<Row, Score>>();
    stage.write(row);
    stage.write(row, () => {});
    stage.write(row, 'utf8', (error) => error?.message);
    stage.end();
    stage.end(() => {});
    stage.end(row, () => {});
    stage.on('data', (reply) => expectTypeOf(reply).toEqualTypeOf<Score>());
    stage
      .once('data', (reply) => expectTypeOf(reply).toEqualTypeOf<Score>())
      .prependListener('data', ({ score }) => score.toFixed());
    stage.on('error', ({ message }) => message.length).on('an event of their own', (any) => void any);
    const read = stage.read();
    expectTypeOf(read).toEqualTypeOf<Score | null>();
    for await (const reply of stage) expectTypeOf(reply).toEqualTypeOf<Score>();
    for await (const reply of stage.iterator({ destroyOnReturn: false })) expectTypeOf(reply).toEqualTypeOf<Score>();
    const { value } = await stage[Symbol.asyncIterator]().next();
    expectTypeOf(value).toEqualTypeOf<Score | undefined>();
  },

  async 'and where the types come from the codec'() {
    const port = new Port('x', { encode: (r: Row) => String(r.id), decode: (m: Buffer) => ({ score: m.length }) });
    port
      .transform()
      .on('data', (reply) => expectTypeOf(reply).toEqualTypeOf<{ score: number }>())
      .write(row);
  },

  async 'a stage of a plain Port takes messages and gives Buffers'() {
    const stage = new Port('x').transform();
    stage.write('a');
    stage.write(new Uint8Array(3));
    stage.end(Buffer.from('a'));
    stage.on('data', (reply) => expectTypeOf(reply).toEqualTypeOf<Buffer>());
    for await (const reply of stage) expectTypeOf(reply).toEqualTypeOf<Buffer>();
  },

  async 'the operators of a stage, and the next stages of a pipeline, get the types of what goes through them'() {
    const stage = new Port<Row, Score>('x', { ...json }).transform();
    const numbers = await stage
      .filter(({ score }) => score > 1)
      .map(async ({ score }) => score)
      .toArray();
    expectTypeOf(numbers).toEqualTypeOf<number[]>();
    stage.map(({ score }) => [score]).on('data', (mapped) => expectTypeOf(mapped).toEqualTypeOf<number[]>());
    for await (const digit of stage.flatMap(({ score }) => [...String(score)]).take(3))
      expectTypeOf(digit).toEqualTypeOf<string>();
    const sum = await stage.reduce((total, { score }) => total + score, 0);
    expectTypeOf(sum).toEqualTypeOf<number>();
    const found = await stage.find(({ score }) => score > 1);
    expectTypeOf(found).toEqualTypeOf<Score | undefined>();
    const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
      const all: T[] = [];
      for await (const one of source) all.push(one);
      return all;
    };
    const all = await collect(stage);
    expectTypeOf(all).toEqualTypeOf<Score[]>();
    await pipeline(
      [row],
      stage,
      async function* (scores) {
        for await (const score of scores) {
          expectTypeOf(score).toEqualTypeOf<Score>();
          yield score.score;
        }
      },
      async (scores) => {
        for await (const score of scores) score.toFixed();
      },
    );
    await pipeline([row], stage, async (scores) => {
      for await (const score of scores) expectTypeOf(score).toEqualTypeOf<Score>();
    });
  },

  async 'a stage is a Duplex and a Readable of Node to those that ask for one'() {
    const stage = new Port<Row, Score>('x', { ...json }).transform();
    const duplex: Duplex = stage;
    const readable: Readable = stage;
    const old: NodeJS.ReadWriteStream = stage;
    Readable.toWeb(stage);
    stage.pipe(old).pipe(duplex);
    readable.pipe(stage);
  },

  async 'start(), and the options of a start and of a run'() {
    const options: PortOptions = { startTimeoutMs: 1, runTimeoutMs: 1 };
    const started = new Port('x', options).start();
    expectTypeOf(started).toEqualTypeOf<Promise<void>>();
    await new PortPool('x', { ...options, minSize: 1, size: 2 }).start();
  },

  async 'an error class has its literal code: switch narrows'() {
    switch (error.code) {
      case 'ERR_REXPORT_TIMEOUT':
        error.phase satisfies 'queue' | 'start' | 'write' | 'header' | 'body' | 'reply' | 'run';
        error.limit satisfies 'timeoutMs' | 'runTimeoutMs' | 'startTimeoutMs';
        break;
      case 'ERR_REXPORT_EXIT':
        error.behind satisfies number;
        error.exitCode satisfies number | null;
        break;
      case 'ERR_REXPORT_BROKEN':
        error.restarts satisfies number;
        break;
    }
  },

  async events() {
    const port = new Port('x');
    port.on('spawn', ({ lane, generation, pid }) => {
      expectTypeOf(pid).toEqualTypeOf<number | undefined>();
      lane.toFixed();
      generation.toFixed();
    });
    port.on('broken', (error) => expectTypeOf(error).toEqualTypeOf<BrokenError>());
    port.on('restart', ({ delayMs, cause }) => {
      delayMs.toFixed();
      cause?.message;
    });
  },
};

export async function wrong() {
  const stage = new Port<Row, Score>('x', { ...json }).transform();

  // @ts-expect-error a Port with a Reply of its own and no codec
  new Port<string, Score>('x');
  // @ts-expect-error a Port with a Request of its own and no codec
  new Port<Row, Buffer>('x');
  // @ts-expect-error a Port with both and no codec
  new Port<Row, Score>('x', ['arg']);
  // @ts-expect-error a Port with both, options, and no codec
  new Port<Row, Score>('x', { maxInFlight: 2 });
  // @ts-expect-error a Port with both and half a codec
  new Port<Row, Score>('x', { encode: (r: Row) => String(r.id) });
  // @ts-expect-error a Port with both and the other half
  new Port<Row, Score>('x', [], { decode: (m: Buffer) => ({ score: m.length }) });
  // @ts-expect-error a PortPool with both and no codec
  new PortPool<Row, Score>('x', { size: 2 });
  // @ts-expect-error a request of another type
  void new Port<Row, Score>('x', { ...json }).request('text');
  // @ts-expect-error a replacement of another type from onError
  new Port<Row, Score>('x', { ...json }).transform({ onError: () => 'text' });
  // @ts-expect-error a write of another type into a stage
  stage.write('text');
  // @ts-expect-error an end of another type
  stage.end({ score: 1 });
  // @ts-expect-error a number written to a plain stage
  new Port('x').transform().write(3);
  // @ts-expect-error a listener that takes another reply
  stage.on('data', (reply: Row) => reply.id);
  // @ts-expect-error a loop that takes another reply
  for await (const { id } of stage) void id;
  // @ts-expect-error a read of another reply
  stage.read() satisfies Row | null;
  // @ts-expect-error a map of another reply
  stage.map(({ id }) => void id);
  await pipeline([row], stage, async (rows) => {
    // @ts-expect-error a next stage that takes another reply
    for await (const { id } of rows) void id;
  });
  // @ts-expect-error an option of a pool for a Port
  new Port('x', { size: 2 });
  // @ts-expect-error an unknown option
  new Port('x', { timeoutMs: 2 });
}
