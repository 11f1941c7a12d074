/**
 * The reviews of etl.ts, scored by three workers over a queue while workers are killed, and once more on one host, to
 * show that the two outputs are the same: `npm run queue`. Needs python3 and nats-server. Other sizes:
 * `npm run queue -- --rows 50000`. With `--faults`: 20,000 rows, of which seven are bad, while workers, the server and
 * the producer are killed again and again. In a project of your own, import from 'rexport' and 'rexport/jetstream'.
 */
import { createWriteStream, mkdtempSync, readFileSync } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { PortPool } from '../lib';
import { freePort, hasServer, producer, server, worker, type Part } from './queue-parts';
import { BAD_ROWS, deadLine, rows } from './queue-rows';

const { values } = parseArgs({ options: { rows: { type: 'string' }, faults: { type: 'boolean', default: false } } });
const hasFaults = values.faults;
const count = Number(values.rows ?? (hasFaults ? 20_000 : 5000));
if (!(Number.isInteger(count) && count > 0)) {
  throw new RangeError(`expected --rows to be a whole number above 0, got ${values.rows}`);
}

const WORKERS = 3;
const KILLS = hasFaults ? { worker: 20, server: 3, producer: 3 } : { worker: 3, server: 0, producer: 0 };
const CODES = { hang: 'ERR_REXPORT_TIMEOUT', 'kill-host': 'ERR_REXPORT_WORKER_LOST', poison: 'ERR_REXPORT_POISON' };

/** Whom to kill, spread over the run, each kind over all of it. */
function schedule(): (keyof typeof KILLS)[] {
  const at = (Object.keys(KILLS) as (keyof typeof KILLS)[]).flatMap((who) =>
    Array.from({ length: KILLS[who] }, (_, n) => ({ who, share: (n + 1) / (KILLS[who] + 1) })),
  );
  return at.sort((a, b) => a.share - b.share).map(({ who }) => who);
}

/** Counts the lines of a file that grows. */
class LineCount {
  lines = 0;
  readonly #path: string;
  readonly #buffer = Buffer.alloc(1 << 20);
  #file: FileHandle | undefined;
  #at = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async look(): Promise<number> {
    this.#file ??= await open(this.#path).catch(() => undefined);
    for (;;) {
      const { bytesRead = 0 } = (await this.#file?.read(this.#buffer, 0, this.#buffer.length, this.#at)) ?? {};
      if (bytesRead === 0) return this.lines;
      // Only whole lines: what comes behind the last may be written anew after a kill.
      const end = this.#buffer.lastIndexOf(10, bytesRead - 1) + 1;
      if (end === 0) return this.lines;
      for (let at = this.#buffer.indexOf(10); at !== -1 && at < end; at = this.#buffer.indexOf(10, at + 1))
        this.lines += 1;
      this.#at += end;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

async function overQueue(folder: string, output: string): Promise<void> {
  const port = await freePort();
  const url = `nats://127.0.0.1:${port}`;
  const nats = server(port, join(folder, 'store'));
  const workers = Array.from({ length: WORKERS }, () => worker(url));
  const source = producer(url, output, count, hasFaults);
  const parts = { worker: workers, server: [nats], producer: [source] };
  const bar = new SingleBar({ format: '  [{bar}] {percentage}% {value} of {total} rows, {kills} kills' });
  const progress = new LineCount(output);
  const kills = schedule();
  let killed = 0;
  let isOver = false;
  void source.ended.then(() => (isOver = true));
  bar.start(count, 0, { kills: 0 });
  try {
    while (!isOver) {
      const done = await progress.look();
      bar.update(done, { kills: killed });
      // All in the first two thirds: the last rows come fast, and a kill after them would be none.
      for (let who = kills[killed]; who !== undefined; who = kills[killed]) {
        if (done < ((killed + 1) / (kills.length + 1)) * count * (2 / 3)) break;
        const victims: readonly Part[] = parts[who];
        victims[killed % victims.length]?.kill();
        killed += 1;
      }
      await delay(20);
    }
    bar.update(await progress.look(), { kills: killed });
  } finally {
    bar.stop();
    await progress.close();
    await source.end('SIGKILL');
    await Promise.all(workers.map((one) => one.end(isOver ? 'SIGTERM' : 'SIGKILL')));
    await nats.end('SIGKILL');
  }
  const sum = (all: readonly Part[], of: 'starts' | 'kills'): number =>
    all.reduce((total, part) => total + part[of], 0);
  console.log(
    `  SIGKILLs: ${sum(workers, 'kills')} of workers, ${nats.kills} of the server, ${source.kills} of the producer`,
  );
  console.log(`  workers were started ${sum(workers, 'starts')} times, the producer ${source.starts} times`);
  console.log(`  the last producer: ${await source.ended}`);
}

/** The same rows in this process; but for those that would hang it or kill it, of which the result is known. */
async function onOneHost(output: string): Promise<void> {
  const isTooBad = (row: string): boolean => hasFaults && /"text":"(hang|kill-host)"/.test(row);
  await using pool = new PortPool<string, string>('python3', [join(__dirname, 'queue-child.py')], {
    maxInFlight: 4,
    decode: String,
  });
  const one = async (row: string): Promise<string> => {
    if (isTooBad(row)) return deadLine(row, CODES[row.includes('"hang"') ? 'hang' : 'kill-host']);
    try {
      return await pool.request(row, { idempotent: true });
    } catch (error) {
      return deadLine(row, (error as { code?: unknown }).code);
    }
  };
  async function* lines(source: Iterable<string>): AsyncGenerator<string> {
    const waiting: Promise<string>[] = [];
    for (const row of source) {
      waiting.push(one(row));
      if (waiting.length >= 64) yield `${await waiting.shift()}\n`;
    }
    for (const reply of waiting) yield `${await reply}\n`;
  }
  await pipeline(rows(count, hasFaults), lines, createWriteStream(output));
}

function compare(queued: string, local: string): void {
  const [a, b] = [queued, local].map((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1));
  const first = a?.findIndex((line, n) => line !== b?.[n]) ?? 0;
  const dead = a?.filter((line) => line.includes('"error":"ERR_')).length ?? 0;
  console.log(`\n${a?.length} lines over the queue, ${b?.length} on one host, ${dead} dead letters`);
  if (a?.length !== count || b?.length !== count || first !== -1) {
    throw new Error(`expected ${count} equal lines, got another at line ${first}: ${a?.[first]} and ${b?.[first]}`);
  }
  if (hasFaults) {
    const bad = Object.keys(BAD_ROWS).filter((row) => Number(row) < count).length;
    if (dead !== bad) throw new Error(`expected ${bad} dead letters, got ${dead}`);
  }
  console.log('The two outputs are the same, byte for byte.');
}

async function play(folder: string): Promise<void> {
  const [queued, local] = [join(folder, 'queued.ndjson'), join(folder, 'local.ndjson')];
  console.log(`${count} reviews over a queue, by ${WORKERS} workers`);
  const startedAt = performance.now();
  await overQueue(folder, queued);
  console.log(`  ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  console.log('\nThe same on one host');
  await onOneHost(local);
  compare(queued, local);
}

async function main(): Promise<void> {
  if (!hasServer()) {
    console.error('No nats-server on the PATH: `apt-get install nats-server`, `brew install nats-server`,');
    console.error('or one file of https://github.com/nats-io/nats-server/releases.');
    process.exit(1);
  }
  const folder = mkdtempSync(join(tmpdir(), 'rexport-queue-'));
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.exitCode = 128 + constants.signals[signal];
        resolve();
      });
    }
  });
  try {
    await Promise.race([play(folder), interrupted]);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, maxRetries: 5 });
  }
  process.exit();
}

void main();
