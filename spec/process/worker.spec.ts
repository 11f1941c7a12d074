import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { PortDuplexOptions } from '../../lib';
import { survivors } from '../support/processes';
import { askProgram, startProgram } from '../support/programs';

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

describe('a child of a worker thread', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-worker-'))));
  after(() => rmSync(folder, { recursive: true }));

  async function run(
    way: string,
    marker: string,
    options: PortDuplexOptions,
  ): Promise<{ left: number[]; code: number | null }> {
    const env = { OPTIONS: JSON.stringify(options) };
    const input = options.channel === undefined && options.stdio === undefined ? '0' : '3';
    const args = ['-e', LOADER, marker, input, options.channel === undefined ? '1' : '4'];
    const { process: parent, ended } = startProgram('worker-parent', [way, 'perl', ...args], { env });
    let said = '';
    while (!said.includes('\n')) said += String(await once(parent.stdout!, 'data'));
    if (way.startsWith('SIG')) parent.kill(way as NodeJS.Signals);
    const { code } = await ended;
    return { left: await survivors([Number(said)]), code };
  }

  for (const options of variants) {
    describe(`with ${JSON.stringify(options)}`, () => {
      for (const way of ['terminate', 'process.exit', 'SIGTERM', 'SIGKILL']) {
        it(`does not outlive it, and commits no half of its input: ${way}`, async () => {
          const marker = path.join(folder, `${way}-${Object.keys(options).join()}`);
          expect(await run(way, marker, options)).to.deep.include({ left: [] });
          expect(existsSync(marker)).to.equal(false);
        });
      }

      it('sees the end of an input that has ended well', async () => {
        const marker = path.join(folder, `well-${Object.keys(options).join()}`);
        expect(await run('ends well', marker, options)).to.deep.equal({ left: [], code: 0 });
        expect(existsSync(marker)).to.equal(true);
      });
    });
  }
});

describe('a worker thread in which a port has lived', () => {
  for (const options of variants) {
    it(`closes no descriptor of another thread when it ends: ${JSON.stringify(options)}`, async () => {
      expect(await askProgram<number>('worker-descriptors', [JSON.stringify(options)])).to.equal(0);
    });
  }
});
