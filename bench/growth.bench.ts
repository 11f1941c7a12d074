/**
 * How the time grows with the work: 1 x, 10 x and 100 x of it. The measure is the exponent of the last step, 1 where ten times
 * the work takes ten times the time; what is quadratic gives 2. The times go to stderr.
 */
import { FrameParser, Port, PortPool, encodeFrame } from '../lib';
import type { Bench, Contender, Question } from './harness';

const STEPS = [1, 10, 100] as const;
/** The least of this many runs: what disturbs makes them only longer. */
const REPEATS = 3;

/** How long the work of that size takes, in milliseconds, without what has to be there before it. */
type Measure = (size: number) => Promise<number>;

function exponentOf(measure: Measure): Contender {
  return ({ size }) =>
    async () => {
      const times: number[] = [];
      for (const step of STEPS) {
        const repeats: number[] = [];
        for (let repeat = 0; repeat < REPEATS; repeat += 1) repeats.push(await measure(step * size));
        times.push(Math.min(...repeats));
      }
      const [, middle = NaN, last = NaN] = times;
      const shown = times.map((time, index) => `${size * STEPS[index]!}: ${time.toFixed(1)} ms`);
      console.error(`    ${shown.join(', ')}`);
      return Math.log10(last / middle);
    };
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await action();
  return performance.now() - startedAt;
}

const MESSAGE = Buffer.alloc(64, 'x');

function all(count: number, one: (index: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, (_, index) => one(index)));
}

/** All at once, this many of them with the child. */
const requests =
  (maxInFlight: (size: number) => number): Measure =>
  async (size) => {
    await using port = new Port('cat', { maxInFlight: maxInFlight(size) });
    await port.request(MESSAGE);
    return await timed(() => all(size, () => port.request(MESSAGE)));
  };

/** All are with the child, which never answers. */
const aborts =
  (isShared: boolean): Measure =>
  async (size) => {
    await using port = new Port('sh', ['-c', 'head -c 68; exec cat >/dev/null'], { maxInFlight: size });
    await port.request(MESSAGE);
    const shared = new AbortController();
    const controllers = Array.from({ length: size }, () => (isShared ? shared : new AbortController()));
    const settled = controllers.map(({ signal }) => port.request(MESSAGE, { signal }).catch(() => undefined));
    while (port.queued > 0) await new Promise((resolve) => setImmediate(resolve));
    return await timed(async () => {
      for (const controller of isShared ? [shared] : controllers) controller.abort();
      await Promise.all(settled);
    });
  };

/** A hundred requests for each lane, one in flight in each. */
const lanes: Measure = async (size) => {
  await using pool = new PortPool('cat', { size });
  await all(size, () => pool.request(MESSAGE));
  return await timed(() => all(100 * size, () => pool.request(MESSAGE)));
};

const rows: Measure = async (size) => {
  await using port = new Port('cat', { maxInFlight: 16 });
  await port.request(MESSAGE);
  const stage = port.transform();
  stage.resume();
  return await timed(async () => {
    for (let left = size; left > 0; left -= 1) {
      if (!stage.write(MESSAGE)) await new Promise((resolve) => stage.once('drain', resolve));
    }
    stage.end();
    await new Promise((resolve) => stage.once('end', resolve));
  });
};

/** One message of this many KiB, which comes in chunks of 64 KiB. */
const longMessage: Measure = (size) => {
  const frame = encodeFrame(Buffer.alloc(size * 1024));
  const parser = new FrameParser();
  return timed(async () => {
    let message: Buffer | undefined;
    for (let start = 0; start < frame.length; start += 65_536) {
      parser.write(frame.subarray(start, start + 65_536));
      message = parser.next();
    }
    if (message?.length !== size * 1024) throw new Error(`expected a message of ${size} KiB, got ${message?.length}`);
  });
};

function question(title: string, size: number, measure: Measure): Question {
  return {
    title: `${title}: 1 x, 10 x, 100 x`,
    size,
    unit: 'exponent (1: ten times the work takes ten times the time)',
    limit: 1.1,
    rounds: 3,
    warmups: 0,
    contenders: { 'from 10 x to 100 x': exponentOf(measure) },
  };
}

export const bench: Bench = {
  'in-flight': question(
    'requests, all in flight',
    3000,
    requests((size) => size),
  ),
  queue: question(
    'requests, all queued behind 64 in flight',
    10_000,
    requests(() => 64),
  ),
  aborts: question('requests in flight, aborted by a signal each', 300, aborts(false)),
  'shared-abort': question('requests in flight, aborted by one signal', 300, aborts(true)),
  lanes: question('lanes of a pool, a hundred requests for each', 2, lanes),
  transform: question('rows through transform()', 5000, rows),
  message: question('KiB of one message', 300, longMessage),
};
