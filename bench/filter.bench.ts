/** Bytes through a program that gives them back: what it costs that they pass through Node, and what we add to that. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../lib';
import type { Bench, Contender, Run, Work } from './harness';

const MIB = 1024 * 1024;
const SMALL_BYTES = 100;

/** Both ends of one run, made anew for each. */
interface Ends {
  readonly source: () => NodeJS.ReadableStream;
  readonly sink: () => NodeJS.WritableStream;
}

const input = ({ folder }: Work): string => join(folder, 'in');
const output = ({ folder }: Work): string => join(folder, 'out');

async function makeInput(work: Work): Promise<void> {
  const block = randomBytes(MIB);
  await pipeline(Readable.from(new Array<Buffer>(work.size).fill(block)), createWriteStream(input(work)));
}

function fileToFile(work: Work): Ends {
  return { source: () => createReadStream(input(work)), sink: () => createWriteStream(output(work)) };
}

/** Takes all at once and checks the sum: a sink that costs nothing shows the most of what lies before it. */
function counter(wantedBytes: number): Writable {
  let bytes = 0;
  return new Writable({
    highWaterMark: 64 * 1024,
    write(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length;
      callback();
    },
    final(callback) {
      callback(bytes === wantedBytes ? null : new Error(`expected ${wantedBytes} bytes, got ${bytes}`));
    },
  });
}

function fileToCounter(work: Work): Ends {
  return { source: () => createReadStream(input(work)), sink: () => counter(work.size * MIB) };
}

/** A source that hands over line by line, as a splitter or a serializer does. */
function linesToCounter({ size }: Work): Ends {
  const total = Math.floor((size * MIB) / SMALL_BYTES);
  const line = Buffer.alloc(SMALL_BYTES, 'x');
  const source = (): Readable => {
    let count = 0;
    return new Readable({
      highWaterMark: 64 * 1024,
      read() {
        while (count < total) {
          count++;
          if (!this.push(line)) return;
        }
        this.push(null);
      },
    });
  };
  return { source, sink: () => counter(total * SMALL_BYTES) };
}

function throughPort({ source, sink }: Ends): Run {
  return () => pipeline(source(), new PortDuplex('cat'), sink());
}

function throughTwoPipelines({ source, sink }: Ends): Run {
  return async () => {
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.resume();
    const closed = once(child, 'close');
    await Promise.all([pipeline(source(), child.stdin), pipeline(child.stdout, sink()), closed]);
  };
}

function throughStockDuplex({ source, sink }: Ends): Run {
  return async () => {
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.resume();
    const closed = once(child, 'close');
    const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin });
    await Promise.all([pipeline(source(), duplex, sink()), closed]);
  };
}

async function throughExeca({ source, sink }: Ends): Promise<Run> {
  const { execa } = await import('execa');
  return async () => {
    const child = execa('cat', { buffer: false, encoding: 'buffer' });
    await Promise.all([pipeline(source(), child.duplex(), sink()), child]);
  };
}

function throughShell(work: Work): Run {
  return async () => {
    const shell = spawn('sh', ['-c', 'cat <"$0" >"$1"', input(work), output(work)], { stdio: 'inherit' });
    await once(shell, 'close');
  };
}

function between(ends: (work: Work) => Ends): Readonly<Record<string, Contender>> {
  return {
    PortDuplex: (work) => throughPort(ends(work)),
    'two pipelines': (work) => throughTwoPipelines(ends(work)),
    'Duplex.from': (work) => throughStockDuplex(ends(work)),
    execa: (work) => throughExeca(ends(work)),
  };
}

const common = { targets: { 'two pipelines': 0.95, execa: 1 }, warmups: 4, rounds: 5, turns: 7 };

export const bench: Bench = {
  file: {
    title: 'MiB from a file through `cat` to a file',
    size: 128,
    ...common,
    prepare: makeInput,
    contenders: { ...between(fileToFile), shell: throughShell },
  },
  counter: {
    title: 'MiB from a file through `cat` to a sink that only counts',
    size: 128,
    ...common,
    prepare: makeInput,
    contenders: between(fileToCounter),
  },
  lines: {
    title: `MiB in writes of ${SMALL_BYTES} bytes through \`cat\` to a sink that only counts`,
    size: 16,
    ...common,
    contenders: between(linesToCounter),
  },
};
