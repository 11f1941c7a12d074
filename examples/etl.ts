/**
 * A pipeline that scores reviews in a program in Python, in as many children as there are cores, and once more in one:
 * `npm run etl`. Needs python3. Smaller or larger: `npm run etl -- --megabytes 10`; other numbers of children:
 * `--children 4`; to keep the files: `--folder DIRECTORY`. In a project of your own, import from 'rexport'.
 */
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, statSync, type WriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism, constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { PoisonError, PortPool, type PortStatistics } from '../lib';
import { reviewLines, type Review } from './etl-reviews';
import { needs } from './needs';

interface Score {
  readonly id: number;
  readonly words: number;
  readonly distinct: number;
  readonly syllables: number;
  readonly feeling: number;
  readonly bytes: number;
}

interface Summary {
  readonly rows: number;
  readonly scored: number;
  /** Rows that are not JSON: put aside before the pool. */
  readonly unreadable: number;
  /** Rows that the program says it cannot score. */
  readonly refused: number;
  /** Rows that the program dies of. */
  readonly deadly: number;
  readonly seconds: number;
  readonly statistics: PortStatistics;
}

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100' },
    children: { type: 'string', default: String(availableParallelism()) },
    folder: { type: 'string' },
  },
});
const inputBytes = Number(values.megabytes) * 1e6;
if (!(inputBytes > 0)) throw new RangeError(`expected --megabytes to be a number above 0, got ${values.megabytes}`);

const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'rexport-etl-'));
const input = join(folder, 'reviews.ndjson');

/** Reads, parses, scores, writes. What cannot be scored goes to a file of dead letters. */
async function job(children: number, output: string, deadLetters: string): Promise<Summary> {
  await using pool = new PortPool<Review, Score>('python3', [join(__dirname, 'score.py')], {
    size: children,
    maxInFlight: 16,
    encode: (review) => JSON.stringify(review),
    decode: (message) => {
      const reply = JSON.parse(String(message)) as Score | { error: string };
      if ('error' in reply) throw new Error(reply.error);
      return reply;
    },
  });
  const letters = new Letters(createWriteStream(deadLetters));
  const source = createReadStream(input, { encoding: 'utf8' });
  const count = { rows: 0, scored: 0, unreadable: 0, refused: 0, deadly: 0 };

  async function* parsed(chunks: AsyncIterable<string>): AsyncGenerator<Review> {
    for await (const line of lines(chunks)) {
      count.rows += 1;
      try {
        yield JSON.parse(line) as Review;
      } catch (error) {
        count.unreadable += 1;
        await letters.put({ line: count.rows, error: (error as Error).message, row: line });
      }
    }
  }

  async function* written(scores: AsyncIterable<Score>): AsyncGenerator<string> {
    for await (const score of scores) {
      count.scored += 1;
      yield `${JSON.stringify(score)}\n`;
    }
  }

  const startedAt = performance.now();
  const work = pipeline(
    source,
    parsed,
    pool.transform({
      // A score may be asked for twice: so one deadly row hurts none of those that were with it in a child.
      idempotent: true,
      onError: async (error, row) => {
        count[error instanceof PoisonError ? 'deadly' : 'refused'] += 1;
        await letters.put({ id: row.id, error: error.message, row });
        return undefined;
      },
    }),
    written,
    createWriteStream(output),
  );
  await withBar(work, () => [source.bytesRead, count.rows]);
  await letters.end();
  const seconds = (performance.now() - startedAt) / 1000;
  return { ...count, seconds, statistics: pool.statistics() };
}

/** A file of its own, with back-pressure: each letter is in it, or is on its way there, when `put` resolves. */
class Letters {
  readonly #file: WriteStream;

  constructor(file: WriteStream) {
    this.#file = file;
  }

  async put(letter: object): Promise<void> {
    if (!this.#file.write(`${JSON.stringify(letter)}\n`)) await once(this.#file, 'drain');
  }

  async end(): Promise<void> {
    this.#file.end();
    await once(this.#file, 'close');
  }
}

async function* lines(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}

/** Draws how much is done until the work is; nothing where there is no terminal. */
async function withBar(work: Promise<void>, done: () => [bytes: number, rows: number]): Promise<void> {
  const bar = new SingleBar({ format: '  [{bar}] {percentage}% {rows} rows, {eta_formatted} left' });
  bar.start(statSync(input).size, 0, { rows: 0 });
  const update = (): void => {
    const [bytes, rows] = done();
    bar.update(bytes, { rows });
  };
  const timer = setInterval(update, 100);
  try {
    await work;
  } finally {
    clearInterval(timer);
    update();
    bar.stop();
  }
}

function tell({ rows, scored, unreadable, refused, deadly, seconds, statistics }: Summary): void {
  const rate = Math.round(rows / seconds);
  console.log(`  ${rows} rows in = ${scored} scores + ${unreadable + refused + deadly} dead letters`);
  console.log(`  dead letters: ${unreadable} not JSON, ${refused} that the program refused, ${deadly} that it died of`);
  console.log(`  ${statistics.restarts} restarts: a row that the program dies of is tried in two children`);
  console.log(`  ${seconds.toFixed(1)} s, ${rate} rows a second`);
  for (const { lane, requests, failures, restarts, busyMs, runMs, bytesWritten } of statistics.lanes) {
    const busy = Math.round(busyMs / 10 / seconds);
    const run = `${runMs.p50.toFixed(1)} ms at the median, ${runMs.p99.toFixed(1)} at p99`;
    console.log(
      `  lane ${lane}: ${requests} requests, ${failures} failed, ${restarts} restarts, ${busy}% busy, ${run}, ${megabytes(bytesWritten)} in`,
    );
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The file is scored twice, mostly by the program. */
function duration(): string {
  const seconds = 5 + inputBytes / 0.8e6;
  return seconds < 90 ? `${Math.ceil(seconds)} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

async function play(): Promise<void> {
  console.log(`Needs python3, and ${megabytes(1.3 * inputBytes)} in ${folder}; takes about ${duration()}.`);
  await needs('python3');
  console.log(`\nReviews: ${megabytes(inputBytes)} in ${input}`);
  mkdirSync(folder, { recursive: true });
  await pipeline(Readable.from(reviewLines(inputBytes)), createWriteStream(input));

  const children = Number(values.children);
  console.log(`\nScored in ${children} children`);
  const pool = await job(children, join(folder, 'scores.ndjson'), join(folder, 'dead-letters.ndjson'));
  tell(pool);

  console.log('\nThe same in one child');
  const one = await job(1, join(folder, 'scores-of-one.ndjson'), join(folder, 'dead-letters-of-one.ndjson'));
  tell(one);
  console.log(`\n${children} children were ${(one.seconds / pool.seconds).toFixed(2)} x as fast as one`);
  const kept = `are kept in ${folder}`;
  console.log(`The files ${values.folder === undefined ? 'are removed; --folder DIRECTORY keeps them' : kept}`);
}

async function main(): Promise<void> {
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        process.exitCode = 128 + constants.signals[signal];
        resolve();
      });
    }
  });
  try {
    await Promise.race([play(), interrupted]);
  } finally {
    // A file that is just being opened may appear while we remove the folder, hence more than one try.
    if (values.folder === undefined) await rm(folder, { recursive: true, maxRetries: 5 });
  }
  // Where we were interrupted, children may still run: they are ended here.
  process.exit();
}

main().catch((error: unknown) => {
  console.error(String(error));
  process.exitCode = 1;
});
