/** Bytes from file to file with `redirect`, past Node, as a shell moves them: what is left of our cost. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplex, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../lib';
import type { Bench, Contender, Question, Run, Work } from './harness';

const MIB = 1024 * 1024;

type Filter = readonly [command: string, ...args: string[]];

/** Costs next to nothing itself: what is left is the way. */
const CAT: Filter = ['cat'];
/** One that works, and writes in pieces of a few KiB, as most do. */
const TR: Filter = ['tr', 'a', 'b'];

const input = ({ folder }: Work): string => join(folder, 'in');

async function makeInput(work: Work): Promise<void> {
  const line = Buffer.alloc(MIB, 'a line of text, as long as many are\n');
  await pipeline(new Array<Buffer>(work.size).fill(line), createWriteStream(input(work)));
}

type Stages = (filters: readonly Filter[]) => readonly Duplex[];

/** Each contender has an output of its own, made before the first turn: a new file costs more than one written over. */
function output({ folder }: Work, name: string): string {
  return join(folder, `out of ${name}`);
}

async function check(work: Work, file: string): Promise<void> {
  const { size } = await stat(file);
  if (size !== work.size * MIB) throw new Error(`expected ${work.size * MIB} bytes in ${file}, got ${size}`);
}

async function throughFiles(work: Work, name: string, stages: () => readonly Duplex[]): Promise<void> {
  const file = output(work, name);
  await pipeline([createReadStream(input(work)), ...stages(), createWriteStream(file)]);
  await check(work, file);
}

const ports =
  (redirect: boolean): Stages =>
  (filters) =>
    filters.map(([command, ...args]) => new PortDuplex(command, args, { redirect }));

function throughPorts(filters: readonly Filter[], redirect: boolean): Contender {
  return (work) => () => throughFiles(work, `ports, ${redirect}`, () => ports(redirect)(filters));
}

function throughExeca(filters: readonly Filter[]): Contender {
  return async (work): Promise<Run> => {
    const { execa } = await import('execa');
    return async () => {
      const children = filters.map(([command, ...args]) => execa(command, args, { buffer: false, encoding: 'buffer' }));
      await throughFiles(work, 'execa', () => children.map((child) => child.duplex()));
      await Promise.all(children);
    };
  };
}

function throughShell(filters: readonly Filter[]): Contender {
  const [first = '', ...others] = filters.map((filter) => filter.join(' '));
  const line = others.length === 0 ? `${first} <"$0" >"$1"` : [`${first} <"$0"`, ...others].join(' | ') + ' >"$1"';
  return (work) => async () => {
    const file = output(work, 'the shell');
    await once(spawn('sh', ['-c', line, input(work), file], { stdio: 'inherit' }), 'close');
    await check(work, file);
  };
}

/** One end in JavaScript: a sink that only counts. */
function toCounter(redirect: boolean): Contender {
  return (work) => async () => {
    let bytes = 0;
    const counter = new Writable({
      highWaterMark: 64 * 1024,
      write(chunk: Buffer, _encoding, callback) {
        bytes += chunk.length;
        callback();
      },
    });
    await pipeline([createReadStream(input(work)), ...ports(redirect)([CAT]), counter]);
    if (bytes !== work.size * MIB) throw new Error(`expected ${work.size * MIB} bytes, got ${bytes}`);
  };
}

/** The two alone: after a contender that is slower the system is still at work on its file, and the next one pays. */
function againstShell(title: string, ...filters: readonly Filter[]): Question {
  return {
    title: `MiB from a file through ${title} to a file`,
    ...common,
    targets: { shell: 0.9 },
    contenders: { redirect: throughPorts(filters, true), shell: throughShell(filters) },
  };
}

const common = { size: 256, runSeconds: 1, prepare: makeInput, warmups: 2, rounds: 5, turns: 5 };

export const bench: Bench = {
  one: againstShell('`cat`', CAT),
  three: againstShell('three `cat`', CAT, CAT, CAT),
  tr: againstShell('`tr`', TR),
  'three-tr': againstShell('three `tr`', TR, TR, TR),
  streams: {
    title: 'MiB from a file through `cat` to a file',
    ...common,
    targets: { execa: 3 },
    contenders: {
      redirect: throughPorts([CAT], true),
      execa: throughExeca([CAT]),
      'ordinary streams': throughPorts([CAT], false),
    },
  },
  source: {
    title: 'MiB from a file through `cat` to a sink that only counts',
    ...common,
    contenders: { redirect: toCounter(true), 'ordinary streams': toCounter(false) },
  },
};
