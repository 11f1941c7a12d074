import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { PortDuplex, type ExitError } from '../../lib';
import { isAlive } from '../support/processes';
import { closed } from '../support/streams';
import { stressed } from '../support/stress';

const CASES = stressed(200, 8);
const AT_A_TIME = 4;
/** That of few cases has all outcomes in them. */
const SEED = stressed(7, 2831);

/** Scripts of the shell. Those that fail do it at their own time; those that leave early do it with a success. */
const GOOD = [
  'exec cat',
  'exec tr a-z A-Z',
  'cat; echo tail',
  'cat >/dev/null; echo summary',
  'sleep 0.02; exec cat',
  'exec 1>&-; cat >/dev/null',
];
const EARLY = ['exec head -c 10', 'exec head -n 3', 'exec 0<&-; sleep 0.02; echo done', 'exec true'];
const BAD = [
  'cat; exit 3',
  'cat; kill -9 $$',
  'head -c 100; exit 5',
  'exec no-such-program',
  'exec 0<&-; exit 6',
  'MISSING',
];

interface Case {
  readonly bytes: number;
  readonly from: 'file' | 'stream' | 'program';
  readonly to: 'file' | 'stream' | 'program';
  readonly stages: readonly string[];
  readonly abortAfterMs: number | null;
}

/**
 * At most one stage fails, and none after it leaves early: of two failures it would be chance which one is told, and
 * whether a reader leaves before a failure or after it.
 */
const stages = fc
  .record({
    before: fc.array(fc.constantFrom(...GOOD, ...EARLY), { maxLength: 3 }),
    bad: fc.option(fc.constantFrom(...BAD), { freq: 2 }),
    after: fc.array(fc.constantFrom(...GOOD), { maxLength: 3 }),
  })
  .map(({ before, bad, after }) => [...before, ...(bad === null ? [] : [bad]), ...after].slice(0, 4))
  .map((all) => (all.length === 0 ? ['exec cat'] : all));

const cases: fc.Arbitrary<Case> = fc.record({
  bytes: fc.constantFrom(0, 1, 300, 70_000, 700_000),
  from: fc.constantFrom('file', 'file', 'stream', 'program'),
  to: fc.constantFrom('file', 'file', 'stream', 'program'),
  stages,
  abortAfterMs: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 40 })),
});

interface Result {
  readonly outcome: string;
  /** On success: who fails leaves what he likes. */
  readonly output: string | undefined;
  readonly leftovers: readonly number[];
}

describe('PortDuplex: redirect, against the ordinary way', function () {
  this.timeout(120_000); // six seconds on a machine at rest
  let folder: string;

  before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-differential-'))));
  after(() => rmSync(folder, { recursive: true }));

  function content(bytes: number): string {
    return 'one line of some length\n'.repeat(bytes / 24 + 1).slice(0, bytes);
  }

  async function run(one: Case, name: string, redirect: boolean): Promise<Result> {
    const input = path.join(folder, `in ${one.bytes}`);
    const output = path.join(folder, `out ${name}`);
    const port = (script: string, options: { stdin?: 'ignore'; stdout?: 'ignore' } = {}): PortDuplex => {
      const [command, args] = script === 'MISSING' ? ['no-such-program', []] : ['sh', ['-c', script]];
      return new PortDuplex(command, args, { redirect, ...options });
    };
    const first = {
      file: () => createReadStream(input),
      stream: () => Readable.from([readFileSync(input)], { objectMode: false }),
      program: () => port(`exec cat '${input}'`, { stdin: 'ignore' }),
    };
    const last = {
      file: () => createWriteStream(output),
      stream: () => collector((bytes) => writeFileSync(output, bytes)),
      program: () => port(`cat >'${output}'`, { stdout: 'ignore' }),
    };
    const all = [first[one.from](), ...one.stages.map((script) => port(script)), last[one.to]()];
    const { abortAfterMs } = one;
    const signal = abortAfterMs === null ? undefined : AbortSignal.timeout(abortAfterMs);
    const outcome = await pipeline(all as Readable[], { signal }).then(() => 'success', wordsFor);
    const ports = all.filter((stream) => stream instanceof PortDuplex);
    await Promise.all(ports.map(closed));
    const pids = ports.flatMap(({ pid }) => pid ?? []);
    const isWritten = outcome === 'success' && existsSync(output);
    return {
      outcome,
      output: isWritten ? readFileSync(output, 'utf8') : undefined,
      leftovers: pids.filter(isAlive),
    };
  }

  it(`${CASES} pipelines of one to four programs end alike, with the same output and with nothing left`, async () => {
    for (const bytes of [0, 1, 300, 70_000, 700_000]) writeFileSync(path.join(folder, `in ${bytes}`), content(bytes));
    const waiting = [...fc.sample(cases, { numRuns: CASES, seed: SEED }).entries()];
    const differences: unknown[] = [];
    const outcomes: Record<string, number> = {};
    const compare = async ([index, one]: [number, Case]): Promise<void> => {
      const [ordinary, redirected] = await Promise.all([
        run(one, `${index} ordinary`, false),
        run(one, `${index} redirected`, true),
      ]);
      outcomes[redirected.outcome] = (outcomes[redirected.outcome] ?? 0) + 1;
      const isChance = one.abortAfterMs !== null && [ordinary, redirected].some(({ outcome }) => outcome === 'aborted');
      const isSame = isChance || (ordinary.outcome === redirected.outcome && ordinary.output === redirected.output);
      const leftovers = [...ordinary.leftovers, ...redirected.leftovers];
      if (!isSame || leftovers.length > 0) {
        differences.push({ one, ordinary: shortened(ordinary), redirected: shortened(redirected) });
      }
    };
    const lane = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await compare(next);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, lane));
    expect(differences, JSON.stringify(differences, null, 2)).to.deep.equal([]);
    expect(outcomes).to.include.keys('success', 'aborted', 'exit 3', 'SIGKILL', 'exit 5', 'ENOENT');
  });
});

/** `AbortError`, and what newer Nodes make of it where it comes from a stage in the middle. */
function wordsFor(error: Error & { code?: string }): string {
  const { exitCode, signal } = error as ExitError;
  if (error.name === 'AbortError' || error.code === 'ERR_STREAM_PREMATURE_CLOSE') return 'aborted';
  const { code } = (error.cause ?? {}) as { code?: string };
  return signal ?? (typeof exitCode === 'number' ? `exit ${exitCode}` : (code ?? error.message));
}

function shortened({ outcome, output, leftovers }: Result): unknown {
  return { outcome, leftovers, bytes: output?.length, output: output?.slice(0, 50) };
}

function collector(done: (bytes: Buffer) => void): Writable {
  const chunks: Buffer[] = [];
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
    final(callback) {
      done(Buffer.concat(chunks));
      callback();
    },
  });
}
