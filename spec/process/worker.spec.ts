import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { PortDuplexOptions } from '../../lib';
import type { Loader } from '../programs/worker-parent';
import { survivors } from '../support/processes';
import { askProgram, startProgram } from '../support/programs';
import { stressed } from '../support/stress';

/** Commits at the end of its input, on the descriptor of its second argument, and handles SIGTERM in its own time. */
const LOADER =
  '$SIG{TERM} = sub {}; open IN, "<&=$ARGV[1]"; open OUT, ">&=$ARGV[2]"; OUT->autoflush; print OUT "ready\\n";' +
  ' for (;;) { my $n = sysread IN, my $b, 4096;' +
  ' last if defined $n && $n == 0 } open F, ">", $ARGV[0]; close F';

const variants: PortDuplexOptions[] = [
  {},
  { killTree: true },
  { pipes: true },
  { channel: 'fd3' },
  { stdio: { 3: 'in' } },
  { stdio: { 3: 'in' }, pipes: true },
];
/** Those that live in one worker: what goes wrong with one goes wrong beside others too, and full says which. */
const groups = stressed(
  variants.map((options) => [options]),
  [variants],
);

interface Left {
  readonly left: number[];
  readonly code: number | null;
  /** The options of the loaders that have committed. */
  readonly committed: PortDuplexOptions[];
}

describe('a child of a worker thread', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-worker-'))));
  after(() => rmSync(folder, { recursive: true }));

  async function run(way: string, group: readonly PortDuplexOptions[]): Promise<Left> {
    const own = mkdtempSync(path.join(folder, 'run-'));
    const markerOf = (options: PortDuplexOptions): string => path.join(own, String(group.indexOf(options)));
    const loaders = group.map((options): Loader => {
      const input = options.channel === undefined && options.stdio === undefined ? '0' : '3';
      return { args: [markerOf(options), input, options.channel === undefined ? '1' : '4'], options };
    });
    const env = { LOADERS: JSON.stringify(loaders) };
    const { process: parent, ended } = startProgram('worker-parent', [way, 'perl', '-e', LOADER], { env });
    let said = '';
    while (!said.includes('\n')) said += String(await once(parent.stdout!, 'data'));
    if (way.startsWith('SIG')) parent.kill(way as NodeJS.Signals);
    const { code } = await ended;
    const pids = JSON.parse(said) as number[];
    expect(pids).to.have.length(group.length);
    const left = await survivors(pids);
    return { left, code, committed: group.filter((options) => existsSync(markerOf(options))) };
  }

  for (const group of groups) {
    describe(`with ${group.map((options) => JSON.stringify(options)).join(' beside ')}`, () => {
      // process.exit() ends the worker too; of SIGTERM a process dies as of SIGKILL that has no port in its main thread
      const ways = [...stressed(['process.exit', 'SIGTERM'], []), 'terminate', 'SIGKILL', 'ends well'];
      // all at the same time, each waits for its own
      const runs = new Map<string, Promise<Left>>();
      before(() => {
        for (const way of ways) runs.set(way, run(way, group));
        return Promise.allSettled(runs.values());
      });

      for (const way of ways.slice(0, -1)) {
        it(`does not outlive it, and commits no half of its input: ${way}`, async () => {
          expect(await runs.get(way)).to.deep.include({ left: [], committed: [] });
        });
      }

      it('sees the end of an input that has ended well', async () => {
        expect(await runs.get('ends well')).to.deep.equal({ left: [], code: 0, committed: group });
      });
    });
  }
});

describe('a worker thread in which ports have lived', () => {
  for (const group of groups) {
    const all = group.map((options) => JSON.stringify(options));
    it(`closes no descriptor of another thread when it ends: ${all.join(' beside ')}`, async () => {
      expect(await askProgram<number>('worker-descriptors', all)).to.equal(0);
    });
  }
});
