import { once } from 'node:events';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, createReadStream, createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { PortDuplex, type ExitError, type PortDuplexOptions } from '../../lib';
import { inSmallOnly } from '../support/in-small-only';
import { sideBySide } from '../support/side-by-side';
import { closed, rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

/** Prints a line on stdout and one on stderr, in turn. */
const inTurn = 'for i in 1 2 3 4 5 6 7 8 9 10; do echo out $i; echo err $i >&2; done';
const MUCH = stressed(2_000_000, 700_000);
const linesInTurn = Array.from({ length: 10 }, (_, i) => `out ${i + 1}\nerr ${i + 1}\n`).join('');

function describeOver(pipes: boolean): void {
  const over = pipes ? 'pipes' : 'sockets';
  const start = (script: string, options: PortDuplexOptions): PortDuplex =>
    new PortDuplex(...sh(script), { pipes, ...options });

  describe(`PortDuplex with \`channel: 'fd3'\`, over ${over}`, () => {
    before(function () {
      if (process.platform === 'win32') this.skip(); // refused there
      if (pipes && process.platform !== 'linux') this.skip(); // sockets everywhere else
    });

    const itWaits = sideBySide();

    itWaits(
      'what is written goes to descriptor 3, what is read comes from 4, and prints are on stderr, in order',
      async () => {
        const port = start(`${inTurn}; cat <&3 >&4; ${inTurn}`, { channel: 'fd3' });
        const prints = text(port.stderr!);
        port.end('the message');
        expect(await text(port)).to.equal('the message');
        expect(await prints).to.equal(linesInTurn + linesInTurn);
        await closed(port);
      },
    );

    itWaits('the program has nothing to read on its stdin', async () => {
      const port = start('wc -c >&4', { channel: 'fd3' });
      port.end('not for you');
      expect((await text(port)).trim()).to.equal('0');
      await closed(port);
    });

    itWaits('prints, however many, get between no bytes, and are drained unread', async () => {
      const script = `head -c ${MUCH} /dev/zero & head -c ${MUCH} /dev/zero >&2 & cat <&3 >&4; wait`;
      const port = start(script, { channel: 'fd3' });
      const bytes = Buffer.alloc(MUCH, 'all that matters ');
      port.end(bytes);
      expect((await buffer(port)).equals(bytes)).to.be.true;
      await closed(port);
      expect([port.bytesWritten, port.bytesRead]).to.deep.equal([MUCH, MUCH]);
    });

    itWaits('what it printed is in its error', async () => {
      const port = start('echo printed; echo said >&2; exit 3', { channel: 'fd3' });
      const error = (await rejection(text(port))) as ExitError;
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3, stderrTail: 'printed\nsaid\n' });
      await closed(port);
    });

    itWaits(
      'a program that closes descriptor 4, or 3, is noticed as one that closes its stdout, or its stdin',
      async () => {
        const port = start('exec 4>&- 3<&-; echo ready; exec sleep 60', { channel: 'fd3' });
        const closes = Promise.all([once(port.resume(), 'outputclosed'), once(port, 'inputclosed')]);
        await once(port.stderr!, 'data');
        const timer = setInterval(() => port.write('x'), 5);
        await closes;
        clearInterval(timer);
        port.destroy();
        await closed(port);
      },
    );

    itWaits('a descendant that holds descriptor 4 after the exit does not hold up the end', async () => {
      const port = start('sleep 60 >/dev/null 2>&1 & echo $! >&4', { channel: 'fd3', killTree: true });
      port.end();
      expect(await text(port)).to.match(/^\d+\n$/);
      await closed(port);
    });

    if (process.platform === 'linux') {
      const links = `exec perl -e 'open F, ">&=4"; print F readlink("/proc/self/fd/$_"), "\\n" for 1, 2'`;

      itWaits("`stderr: 'inherit'`: prints go where this process's own stderr goes", async () => {
        const own = readlinkSync('/proc/self/fd/2');
        const port = start(links, { channel: 'fd3', stderr: 'inherit' });
        port.end();
        expect(await text(port)).to.equal(`${own}\n${own}\n`);
        expect(port.stderr).to.equal(null);
        await closed(port);
      });

      itWaits("`stderr: 'ignore'`: prints are thrown away", async () => {
        const port = start(links, { channel: 'fd3', stderr: 'ignore' });
        port.end();
        expect(await text(port)).to.equal('/dev/null\n/dev/null\n');
        await closed(port);
      });
    }

    itWaits('there may be further descriptors, from 5 on', async () => {
      const port = start('cat <&3 >&4; cat <&5 >&6', { channel: 'fd3', stdio: { 5: 'in', 6: 'out' } });
      port.end('three');
      port.fds[5]!.end('five');
      expect(await Promise.all([text(port), text(port.fds[6]!)])).to.deep.equal(['three', 'five']);
      await closed(port);
    });
  });

  describe(`PortDuplex with \`stderr: 'stdout'\`, over ${over}`, () => {
    before(function () {
      if (process.platform === 'win32') this.skip(); // refused there
      if (pipes && process.platform !== 'linux') this.skip(); // sockets everywhere else
    });

    const itWaits = sideBySide();

    itWaits('both come as one stream, in the order in which they were written', async () => {
      const port = start(inTurn, { stderr: 'stdout' });
      expect(await text(port)).to.equal(linesInTurn);
      expect(port.stderr).to.equal(null);
      await closed(port);
    });

    itWaits('an error has no tail of it: its reader has had it', async () => {
      const port = start('echo said >&2; exit 3', { stderr: 'stdout' });
      let said = '';
      port.on('data', (chunk) => (said += String(chunk)));
      const [error] = (await once(port, 'error')) as [ExitError];
      expect(error).to.include({ exitCode: 3, stderrTail: '' });
      expect(said).to.equal('said\n');
      await closed(port);
    });

    itWaits(
      'a slow reader holds the program back, which writes as ever: nothing is lost, and no write fails',
      async () => {
        const lines = stressed(3000, 1000);
        const script = `for (1..${lines}) { print "o" x 300, "\\n" or die; print STDERR "e" x 300, "\\n" or die }`;
        const port = new PortDuplex('perl', ['-e', `$| = 1; ${script}`], {
          pipes,
          stderr: 'stdout',
          highWaterMark: 1000,
        });
        let output = '';
        for await (const chunk of port as AsyncIterable<Buffer>) {
          output += String(chunk);
          if (output.length % 7 === 0) await delay(1);
        }
        expect(output === `${'o'.repeat(300)}\n${'e'.repeat(300)}\n`.repeat(lines)).to.be.true;
        await closed(port);
      },
    );

    itWaits('input passes as ever, and the program ends as ever', async () => {
      const port = start('cat; cat <&0 >&2; exit 0', { stderr: 'stdout' });
      const bytes = Buffer.alloc(1_000_000, 'bytes ');
      port.end(bytes);
      expect((await buffer(port)).equals(bytes)).to.be.true;
      await closed(port);
    });

    itWaits('with `redirect` both go to the file, or to the next program', async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'rexport-merged-'));
      const [file, counted] = ['file', 'counted'].map((name) => path.join(folder, name));
      const first = start(inTurn, { stderr: 'stdout', redirect: true });
      await pipeline(createReadStream('/dev/null'), first, createWriteStream(file!));
      expect(readFileSync(file!, 'utf8')).to.equal(linesInTurn);
      const second = start(inTurn, { stderr: 'stdout', redirect: true });
      const next = start('wc -l', { redirect: true });
      await pipeline(createReadStream('/dev/null'), second, next, createWriteStream(counted!));
      expect(readFileSync(counted!, 'utf8').trim()).to.equal('20');
      const last = start(inTurn, { stderr: 'stdout', redirect: true });
      last.end();
      expect(await text(last)).to.equal(linesInTurn);
      rmSync(folder, { recursive: true });
    });

    itWaits('with `stdout: ignore` both are thrown away', async () => {
      const port = start('echo out; echo err >&2', { stdout: 'ignore', stderr: 'stdout' });
      await new Promise<void>((resolve) => port.end(() => resolve()));
      await closed(port);
      expect(port.exitCode).to.equal(0);
    });
  });
}

describeOver(false);
inSmallOnly(
  [
    'what is written goes to descriptor 3',
    'prints, however many',
    'a program that closes descriptor 4',
    'both come as one stream',
    'a slow reader holds the program back',
    'with `redirect` both go',
  ],
  () => describeOver(true),
);
