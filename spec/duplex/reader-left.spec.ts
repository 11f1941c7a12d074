import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { ExitError, PortDuplex } from '../../lib';
import { onceMore } from '../support/other-options';
import { survivors } from '../support/processes';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, sh } from '../support/streams';
import { repeat, stressed } from '../support/stress';

const RUNS = onceMore(stressed(200, 3), 2);
const SIZES = stressed([300_000, 50_000_000], [300_000]);

type Outcome = string;

async function outcomeOf(...stages: unknown[]): Promise<Outcome> {
  return pipeline(stages as Readable[]).then(
    () => 'success',
    (error: ExitError) => `${error.command} ${error.exitCode ?? error.signal}`,
  );
}

/** How often each outcome came. */
async function tally(runs: number, run: () => Promise<Outcome>): Promise<Record<Outcome, number>> {
  const counts: Record<Outcome, number> = {};
  await repeat(runs, 4, async () => {
    const outcome = await run();
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  });
  return counts;
}

describe('PortDuplex: a failure is not forgiven because the next program has left well', () => {
  for (const bytes of SIZES) {
    describe(`with an archive of ${bytes} bytes, ${RUNS} times`, function () {
      this.timeout(stressed(300_000, 60_000));
      let folder: string;
      let archive: Buffer;

      before(() => {
        folder = mkdtempSync(path.join(tmpdir(), 'rexport-reader-left-'));
        // Random bytes: the archive is as long as its content.
        execFileSync('sh', ['-c', `head -c ${bytes} /dev/urandom >content; tar -cf archive.tar content`], {
          cwd: folder,
        });
        archive = readFileSync(path.join(folder, 'archive.tar'));
      });
      after(() => rmSync(folder, { recursive: true }));

      it('gzip -d of a wrong CRC into tar -t is never a success', async () => {
        const gzipped = execFileSync('gzip', ['-1'], { input: archive, maxBuffer: 2 * bytes + 1_000_000 });
        gzipped.writeUInt32LE((gzipped.readUInt32LE(gzipped.length - 8) ^ 1) >>> 0, gzipped.length - 8);
        const counts = await tally(RUNS, () =>
          outcomeOf([gzipped], new PortDuplex('gzip', ['-d']), new PortDuplex('tar', ['-t']), new CountingSink()),
        );
        expect(counts).to.deep.equal({ 'gzip 1': RUNS });
      });

      it('a truncated xz into tar -x is never a success', async () => {
        const compressed = execFileSync('xz', ['-0'], { input: archive, maxBuffer: 2 * bytes + 1_000_000 });
        // all of the content is there, the index and the footer are not
        const truncated = compressed.subarray(0, compressed.length - 16);
        const counts = await tally(RUNS, () =>
          outcomeOf([truncated], new PortDuplex('xz', ['-d']), new PortDuplex('tar', ['-x', '-O']), new CountingSink()),
        );
        expect(counts).to.not.have.property('success');
      });

      it('tar -c with a missing file into tar -x is never a success', async () => {
        const counts = await tally(RUNS, () =>
          outcomeOf(
            new PortDuplex('tar', ['-c', 'content', 'missing'], { cwd: folder, stdin: 'ignore' }),
            new PortDuplex('tar', ['-x', '-O']),
            new CountingSink(),
          ),
        );
        expect(counts).to.deep.equal({ 'tar 2': RUNS });
      });
    });
  }

  /** On a busy machine the 50 ms of the script may be more than the 150 for which it is waited: then once more. */
  async function outcomeInTime(script: string): Promise<string> {
    for (;;) {
      const source = new PortDuplex(...sh(script));
      const outcome = await outcomeOf(source, new PortDuplex('head', ['-n', '1']), new CountingSink());
      const { durationMs } = await source.exited;
      if (outcome !== 'success' || durationMs <= 150) return outcome;
    }
  }

  it('one that comes 50 ms after the reader has left is never a success', async () => {
    const counts = await tally(RUNS, () => outcomeInTime('echo x; sleep 0.05; exit 3'));
    expect(counts).to.deep.equal({ 'sh 3': RUNS });
  });

  const itWaits = sideBySide();

  itWaits(
    'one that comes much later is raised too, if the program has closed its stdout: nothing stopped it',
    async () => {
      const source = new PortDuplex(...sh('echo x; exec >&-; sleep 0.4; exit 3'));
      expect(await outcomeOf(source, new PortDuplex('head', ['-n', '1']), new CountingSink())).to.equal('sh 3');
    },
  );

  it('a signal that it dies of meanwhile is its own', async () => {
    expect(await outcomeInTime('echo x; sleep 0.05; kill -9 $$')).to.equal('sh SIGKILL');
  });
});

describe('PortDuplex: a source that does not end is told to stop when its reader has left, and how it dies is no error:', () => {
  const itWaits = sideBySide();
  const endless: Record<string, () => PortDuplex[]> = {
    yes: () => [new PortDuplex('yes')],
    'yes | cat': () => [new PortDuplex('yes'), new PortDuplex('cat')],
    'a program that fails for it': () => [
      new PortDuplex('perl', ['-e', '$| = 1; $SIG{PIPE} = "IGNORE"; while (print "y\\n") {} exit 9']),
    ],
    'a program that prints now and then': () => [new PortDuplex(...sh('while echo y; do sleep 0.01; done; exit 9'))],
  };
  const times = onceMore(stressed(50, 2), 1);
  for (const [title, start] of Object.entries(endless)) {
    itWaits(`${title}, ${times} times`, async () => {
      const counts = await tally(times, async () => {
        const ports = start();
        const outcome = await outcomeOf(...ports, new PortDuplex('head', ['-n', '1']), new CountingSink());
        ports[0]!.destroy();
        await Promise.all(ports.map(closed));
        return outcome;
      });
      expect(counts).to.deep.equal({ success: times });
    });
  }

  itWaits('it has 256 KiB, not more than that and what the pipes hold', async () => {
    const source = new PortDuplex('yes', { stdin: 'ignore' });
    await pipeline(source, new PortDuplex('true'), new CountingSink());
    // Redirected bytes are not counted.
    if (process.env['SPEC_REDIRECT'] === undefined) expect(source.bytesRead).to.be.within(256 * 1024, 1_500_000);
    await closed(source);
  });

  itWaits('and so is a descendant that goes on printing when it has ended well', async () => {
    const source = new PortDuplex(...sh('yes & echo $! >&2'), { stdin: 'ignore' });
    const orphan = once(source.stderr!, 'data').then(([line]) => parseInt(String(line), 10)); // `yes` complains there too
    await pipeline(source, new PortDuplex('head', ['-n', '1']), new CountingSink());
    expect(source.exitCode).to.equal(0);
    expect(await survivors([await orphan])).to.deep.equal([]);
  });
});
