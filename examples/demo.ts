/**
 * The main jobs before your eyes: `npm run demo`. Needs gzip, sort and head. Smaller or larger: `npm run demo -- --megabytes 20`.
 * In a project of your own, import from 'rexport'.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { ExitError, PortDuplex } from '../lib';
import { survive } from './killed-requests';
import { needs } from './needs';

const { values } = parseArgs({ options: { megabytes: { type: 'string', default: '200' } } });
const logBytes = Number(values.megabytes) * 1e6;
if (!(logBytes > 0)) throw new RangeError(`expected --megabytes to be a number above 0, got ${values.megabytes}`);

const folder = mkdtempSync(join(tmpdir(), 'rexport-demo-'));
const log = join(folder, 'requests.log');
const archive = join(folder, 'requests.log.gz');
const rescued = join(folder, 'rescued.log');

async function makeLog(): Promise<void> {
  title(`A log of ${megabytes(logBytes)}`);
  await pipeline(logLines(logBytes), createWriteStream(log));
  say(`written to ${log}`);
}

async function compress(): Promise<void> {
  title('Through an external program, file to file: gzip -1');
  const gzip = new PortDuplex('gzip', ['-1']);
  const work = pipeline(createReadStream(log), gzip, createWriteStream(archive));
  await withBar(work, statSync(log).size, () => gzip.bytesWritten ?? 0);
  const { bytesWritten = 0, bytesRead = 0 } = gzip;
  say(`${megabytes(bytesWritten)} went in, ${megabytes(bytesRead)} came out`);
}

async function restore(): Promise<void> {
  title('And back: gzip -d');
  const before = await pipeline(createReadStream(log), sha256);
  const gunzip = new PortDuplex('gzip', ['-d']);
  const work = pipeline(createReadStream(archive), gunzip, sha256);
  const after = await withBar(work, statSync(log).size, () => gunzip.bytesRead ?? 0);
  if (before !== after) throw new Error(`what came back differs: sha256 ${before} before, ${after} after`);
  say(`the same bytes: sha256 ${after.slice(0, 16)}... before and after`);
}

async function sortSome(): Promise<void> {
  title('A chain whose last program leaves early: sort -k 6 -rn | head -n 3');
  const slowest = await pipeline(
    createReadStream(log, { end: Math.min(logBytes, 10e6) }),
    new PortDuplex('sort', ['-k', '6', '-rn']),
    new PortDuplex('head', ['-n', '3']),
    text,
  );
  say(slowest.trimEnd());
}

async function breakOff(): Promise<void> {
  title('A program that fails: gzip -d of an archive that was cut in half');
  const half = { end: Math.floor(statSync(archive).size / 2) };

  const child = spawn('gzip', ['-d']);
  const stock = Duplex.from({ readable: child.stdout, writable: child.stdin });
  await pipeline(createReadStream(archive, half), stock, createWriteStream(rescued));
  say(`Duplex.from:  success, and ${megabytes(statSync(rescued).size)} of ${megabytes(statSync(log).size)} are there`);

  try {
    await pipeline(createReadStream(archive, half), new PortDuplex('gzip', ['-d']), createWriteStream(rescued));
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    say(`PortDuplex:   ${error.code}, exit code ${error.exitCode}`);
    say(String(error));
  }
}

/** Draws how much of `totalBytes` is done until the work is; a plain line where there is no terminal. */
async function withBar<T>(work: Promise<T>, totalBytes: number, doneBytes: () => number): Promise<T> {
  const startedAt = performance.now();
  const rate = (): string => `${megabytes((doneBytes() / (performance.now() - startedAt)) * 1000)}/s`;
  const bar = new SingleBar({ format: '  [{bar}] {percentage}% at {rate}', stream: process.stdout, linewrap: true });
  bar.start(totalBytes, 0, { rate: '-' });
  const timer = setInterval(() => bar.update(doneBytes(), { rate: rate() }), 100);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    bar.update(doneBytes(), { rate: rate() });
    bar.stop();
    if (!process.stdout.isTTY) say(`ended at ${rate()}`);
  }
}

async function sha256(chunks: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

function* logLines(bytes: number): Generator<string> {
  let random = 1;
  for (let written = 0; written < bytes;) {
    let chunk = '';
    while (chunk.length < 65_536) {
      random = (random * 48_271) % 0x7fff_ffff;
      const time = new Date(1.7e12 + written + chunk.length).toISOString();
      chunk += `${time} GET /users/${random % 99_991} 200 in ${random % 1009} ms\n`;
    }
    written += chunk.length;
    yield chunk;
  }
}

/** Most of it is the work of gzip. */
function seconds(): number {
  return Math.ceil(5 + logBytes / 15e6);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function title(line: string): void {
  console.log(`\n${line}`);
}

function say(lines: string): void {
  console.log(lines.replace(/^/gm, '  '));
}

async function play(): Promise<void> {
  console.log(
    `Needs gzip, sort and head, and ${megabytes(3 * logBytes)} in ${tmpdir()}; takes about ${seconds()} seconds.`,
  );
  await needs('gzip', 'sort', 'head');
  for (const act of [makeLog, compress, restore, sortSome, breakOff]) await act();
  // fewer for a small log, so that it is a short demo as a whole
  await survive(Math.min(20_000, Math.ceil(logBytes / 500)), title, say);
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
    await rm(folder, { recursive: true, maxRetries: 5 });
  }
  // Where we were interrupted, a program may still run: it is ended here.
  process.exit();
}

main().catch((error: unknown) => {
  console.error(String(error));
  process.exitCode = 1;
});
