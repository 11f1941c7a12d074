/**
 * `served.js [concurrency] [packet] [exitGraceMs]`: a servePort child. Each message says what is done with it.
 *   echo TEXT       answers TEXT
 *   later MS TEXT   answers TEXT, MS milliseconds later
 *   idly MS TEXT    the same, by a timer that does not keep this process
 *   bytes N         answers N bytes
 *   print TEXT      prints TEXT to stdout in every way there is, then answers TEXT
 *   flood N         pipes N MiB to stdout, then answers
 *   throw TEXT      throws an Error with TEXT
 *   nothing         returns undefined
 *   never           does not answer
 *   keep [MS]       sets a timer that keeps this process, and says on stderr when it is over; answers nothing
 *   stop            fires the signal, then answers
 *   pid             answers the number of this process
 *   peak            answers by how many bytes the resident set was ever above its level at the start
 */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { servePort } from '../../lib/child/serve-port';

const { stdout: held } = process;
const stop = new AbortController();
const atStart = process.memoryUsage.rss();

/** getrusage(2) counts what the process was before exec(2) too: a copy of the process that started it. */
function peakBytes(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024;
}

async function print(text: string): Promise<void> {
  console.log(text);
  console.table([text]);
  process.stdout.write(`${text}\n`);
  held.write(`${text}\n`);
  await pipeline(Readable.from([`${text}\n`]), process.stdout);
  await pipeline(Readable.from([`${text}\n`]), held);
  Readable.from([`${text}\n`]).pipe(held);
  console.error(text);
}

async function answer(message: Buffer): Promise<string | Buffer> {
  const [verb, ...words] = String(message).split(' ');
  const rest = words.join(' ');
  switch (verb) {
    case 'later':
      await delay(Number(words[0]));
      return words.slice(1).join(' ');
    case 'idly':
      await delay(Number(words[0]), undefined, { ref: false });
      return words.slice(1).join(' ');
    case 'bytes':
      // What is garbage must not be taken for what waits.
      (globalThis as { gc?: () => void }).gc?.();
      return Buffer.alloc(Number(rest), 'x');
    case 'print':
      await print(rest);
      return rest;
    case 'flood':
      await pipeline(Readable.from(Array<Buffer>(Number(rest)).fill(Buffer.alloc(1 << 20, '.'))), held);
      return 'flooded';
    case 'throw':
      throw new Error(rest);
    case 'nothing':
      return undefined as unknown as string;
    case 'never':
      return new Promise(() => undefined);
    case 'keep':
      setTimeout(() => console.error('the timer is over'), Number(rest || 30_000));
      return '';
    case 'stop':
      stop.abort();
      return 'stopped';
    case 'pid':
      return String(process.pid);
    case 'peak':
      return String(peakBytes() - atStart);
    default:
      return rest;
  }
}

const [concurrency = '1', packet = '4', exitGraceMs] = process.argv.slice(2);
void servePort(answer, {
  concurrency: Number(concurrency),
  packet: Number(packet) as 1 | 2 | 4,
  signal: stop.signal,
  exitGraceMs: exitGraceMs === undefined ? undefined : Number(exitGraceMs),
});
