/**
 * What stays in memory while gigabytes pass to a sink slower than their source: `--size 10` for ten of them. The measure
 * is the peak of the resident set above its level before the first byte, in a process that has done nothing else. Once
 * in a while a collection comes late and the peak is twice as high, without us as well; the median leaves that out.
 */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PortDuplex } from '../lib';
import type { Bench, Contender, Run } from './harness';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const SAMPLE_MS = 10;

/** Rests for a moment after every MiB: its source is always ahead of it. */
function slowSink(wantedBytes: number): Writable {
  let bytes = 0;
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      const isRestDue = Math.floor(bytes / MIB) < Math.floor((bytes + chunk.length) / MIB);
      bytes += chunk.length;
      if (isRestDue) void delay(1).then(() => callback());
      else callback();
    },
    final(callback) {
      callback(bytes === wantedBytes ? null : new Error(`expected ${wantedBytes} bytes, got ${bytes}`));
    },
  });
}

/** @returns the run, which measures MiB */
function growthOf(pass: () => Promise<unknown>): Run {
  return async () => {
    const atStart = process.memoryUsage.rss();
    let peak = atStart;
    const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), SAMPLE_MS);
    await pass();
    clearInterval(sampler);
    return (peak - atStart) / MIB;
  };
}

type Pass = (bytes: number) => () => Promise<unknown>;

function contender(load: () => Pass | Promise<Pass>): Contender {
  return async ({ size }) => growthOf((await load())(size * GIB));
}

async function loadExeca(): Promise<typeof import('execa').execa> {
  return (await import('execa')).execa;
}

const zeros = (bytes: number): NodeJS.ReadableStream => createReadStream('/dev/zero', { end: bytes - 1 });
const printer = (bytes: number): [string, string[]] => ['head', ['-c', String(bytes), '/dev/zero']];

const common = { size: 3, runSeconds: 10, limit: 64, unit: 'MiB', ratio: 'cost', rounds: 3, warmups: 0 } as const;

export const bench: Bench = {
  source: {
    ...common,
    title: 'GiB that a program prints, to a slow sink',
    contenders: {
      PortDuplex: contender(() => (bytes) => () => {
        return pipeline(new PortDuplex(...printer(bytes), { stdin: 'ignore' }), slowSink(bytes));
      }),
      'one pipeline': contender(() => (bytes) => () => {
        const { stdout } = spawn(...printer(bytes), { stdio: ['ignore', 'pipe', 'inherit'] });
        return pipeline(stdout, slowSink(bytes));
      }),
      execa: contender(async () => {
        const execa = await loadExeca();
        return (bytes) => () => {
          const child = execa(...printer(bytes), { stdin: 'ignore', buffer: false, encoding: 'buffer' });
          return Promise.all([pipeline(child.readable(), slowSink(bytes)), child]);
        };
      }),
    },
  },
  filter: {
    ...common,
    title: 'GiB from a file through `cat`, to a slow sink',
    contenders: {
      PortDuplex: contender(() => (bytes) => () => pipeline(zeros(bytes), new PortDuplex('cat'), slowSink(bytes))),
      'two pipelines': contender(() => (bytes) => () => {
        const { stdin, stdout } = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
        return Promise.all([pipeline(zeros(bytes), stdin), pipeline(stdout, slowSink(bytes))]);
      }),
      execa: contender(async () => {
        const execa = await loadExeca();
        return (bytes) => () => {
          const child = execa('cat', { buffer: false, encoding: 'buffer' });
          return Promise.all([pipeline(zeros(bytes), child.duplex(), slowSink(bytes)), child]);
        };
      }),
    },
  },
};
