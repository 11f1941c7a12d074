import { once } from 'node:events';
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
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { PortDuplex, type PortDuplexOptions } from '../../lib';
import { isAlive, survivors, until } from '../support/processes';
import { sideBySide } from '../support/side-by-side';
import { inSmallOnly } from '../support/in-small-only';
import { requirePrograms, stressed } from '../support/stress';
import { closed, rejection, sh, zeros } from '../support/streams';
import { thrownToProcess } from '../support/thrown';

/** A program that reads descriptor 3 to its end, and then writes a file: what was cut off must not come to that. */
const commits = [
  'perl',
  ['-e', 'open F, "<&=3"; $| = 1; print "ready\\n"; 1 while <F>; open O, ">", $ARGV[0]; print O "all"; exit 7'],
] as const;

/** More than what is between the program and a reader. */
const MUCH = stressed(3_000_000, 700_000);

function describeOver(pipes: boolean): void {
  const over = pipes ? 'pipes' : 'sockets';
  const start = (script: string, options: PortDuplexOptions = {}): PortDuplex => {
    const port = new PortDuplex(...sh(script), { pipes, ...options });
    if (options.stdin === undefined) port.end();
    return port;
  };

  describe(`PortDuplex: descriptors 3 and up, over ${over}`, () => {
    before(function () {
      if (pipes && process.platform !== 'linux') this.skip(); // sockets everywhere else
    });

    let folder: string;
    before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-fds-'))));
    after(() => rmSync(folder, { recursive: true, force: true }));

    const itWaits = sideBySide();

    itWaits('a program reads what is written `in`, to its end, and writes what is read `out`', async () => {
      const port = start('cat <&3 >&4; echo done', { stdio: { 3: 'in', 4: 'out' } });
      port.fds[3]!.write('one ');
      port.fds[3]!.end('two');
      expect(await Promise.all([text(port.fds[4]!), text(port)])).to.deep.equal(['one two', 'done\n']);
      await closed(port);
    });

    itWaits('each carries much of its own beside the others', async () => {
      const script = `head -c ${MUCH} /dev/zero | tr "\\0" c >&4 & cat <&3 >&5 & cat; wait`;
      const port = new PortDuplex(...sh(script), { pipes, stdio: { 3: 'in', 4: 'out', 5: 'out' } });
      const [a, b] = [Buffer.alloc(MUCH - 1, 'a'), Buffer.alloc(MUCH - 2, 'b')];
      port.end(a);
      port.fds[3]!.end(b);
      const [own, four, five] = await Promise.all([buffer(port), buffer(port.fds[4]!), buffer(port.fds[5]!)]);
      expect([own.equals(a), four.equals(Buffer.alloc(MUCH, 'c')), five.equals(b)]).to.deep.equal([true, true, true]);
      await closed(port);
    });

    itWaits('one that goes both ways is read to its end by the program, which then still answers', async () => {
      const port = start('cat <&3 | tr a-z A-Z >&3', { stdio: { 3: 'duplex' } });
      const reply = text(port.fds[3]!);
      port.fds[3]!.end('both ways');
      expect(await reply).to.equal('BOTH WAYS');
      expect(await text(port)).to.equal('');
      await closed(port);
    });

    itWaits('one that the program has closed one way still takes what is written the other way', async () => {
      const script = 'use IO::Socket; my $s = IO::Socket->new_from_fd(3, "r+"); shutdown $s, 1; print scalar <$s>';
      const port = new PortDuplex('perl', ['-e', script], { pipes, stdio: { 3: 'duplex' } });
      port.end();
      await once(port.fds[3]!.resume(), 'end');
      port.fds[3]!.end('late words\n');
      expect(await text(port)).to.equal('late words\n');
      await closed(port);
    });

    itWaits('more of them than there are pipes at a time', async () => {
      const numbers = [3, 4, 5, 6, 7, 8, 9];
      const stdio = Object.fromEntries(numbers.map((fd) => [fd, 'out' as const]));
      const port = start(numbers.map((fd) => `echo ${fd} >&${fd}`).join('; '), { stdio });
      const texts = Promise.all(numbers.map((fd) => text(port.fds[fd]!)));
      expect(await text(port)).to.equal('');
      expect(await texts).to.deep.equal(numbers.map((fd) => `${fd}\n`));
      await closed(port);
    });

    itWaits('what lies between them is not open in the program', async () => {
      const port = start('for fd in 3 4 5 6; do [ -e /proc/self/fd/$fd ] && echo $fd; done; true', {
        stdio: { 5: 'in' },
      });
      // Descriptors that this process was started with, and does not close on exec, are the program's too.
      const inherited = [3, 4, 6].filter((fd) => existsSync(`/proc/self/fd/${fd}`));
      const seen = (await text(port)).trim().split('\n').map(Number);
      expect(seen).to.include(5);
      expect(seen.filter((fd) => fd !== 5 && !inherited.includes(fd))).to.deep.equal([]);
      await closed(port);
    });

    itWaits('a program that writes where nobody reads is drained, and ends', async () => {
      const port = start(`head -c ${MUCH} /dev/zero >&3; echo done`, { stdio: { 3: 'out' } });
      expect(await text(port)).to.equal('done\n');
      await closed(port);
    });

    itWaits('a program that writes both ways where nobody reads is drained, and ends', async () => {
      const port = start(`head -c ${MUCH} /dev/zero >&3; echo done`, { stdio: { 3: 'duplex' } });
      expect(await text(port)).to.equal('done\n');
      await closed(port);
    });

    itWaits(
      'what a program has left behind does not hold up its end, though nobody reads; it is there for a late reader',
      async () => {
        const port = start('head -c 50000 /dev/zero >&3; echo done', { stdio: { 3: 'out' }, highWaterMark: 1000 });
        const { 3: late } = port.fds;
        expect(await text(port)).to.equal('done\n');
        await closed(port);
        expect(await buffer(late!)).to.have.lengthOf(50_000);
      },
    );

    itWaits(
      'a reader that has asked and does not read holds the program back; one that leaves lets it go',
      async () => {
        const port = start(`head -c ${MUCH} /dev/zero >&3; echo done`, { stdio: { 3: 'out' }, highWaterMark: 1000 });
        const { 3: slow } = port.fds;
        let isDone = false;
        const output = text(port).finally(() => (isDone = true));
        expect(await until(() => slow!.readableLength > 0)).to.be.true;
        for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 5));
        expect(isDone).to.be.false;
        expect(slow!.readableLength).to.be.below(200_000);
        slow!.destroy();
        expect(await output).to.equal('done\n');
        await closed(port);
      },
    );

    itWaits('a reader that pauses and goes on gets every byte', async () => {
      const last = stressed(200_000, 60_000);
      const port = start(`seq 1 ${last} >&3`, { stdio: { 3: 'out' }, highWaterMark: 1000 });
      const chunks: Buffer[] = [];
      for await (const chunk of port.fds[3] as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        await turn();
      }
      const numbers = Buffer.concat(chunks).toString('latin1').trimEnd().split('\n');
      expect(numbers).to.deep.equal(Array.from({ length: last }, (_, index) => String(index + 1)));
      port.resume();
      await closed(port);
    });

    itWaits('a descendant that holds one after the exit does not hold up the end', async () => {
      const port = start('sleep 60 </dev/null >/dev/null 2>&1 & echo $!; echo last words >&3', {
        stdio: { 3: 'out', 4: 'in', 5: 'duplex' },
      });
      const words = text(port.fds[3]!);
      const descendant = Number(await text(port));
      expect(await words).to.equal('last words\n');
      await closed(port);
      expect(isAlive(descendant)).to.be.true;
      process.kill(descendant);
      expect(await survivors([descendant])).to.deep.equal([]);
    });

    itWaits('a program that does not take all of its input and ends with a success is a success', async () => {
      const port = start('head -c 5 <&3 >/dev/null; exec 3<&-; echo done', { stdio: { 3: 'in' } });
      const [output] = await Promise.all([text(port), pipeline(zeros(1_000_000), port.fds[3]!)]);
      expect(output).to.equal('done\n');
      await closed(port);
    });

    itWaits(
      'with a program that dies, what is still to be written to it is cut off; its error is told by the port alone',
      async () => {
        const port = new PortDuplex(...sh('head -c 5 <&3 >/dev/null; exit 3'), { pipes, stdio: { 3: 'in' } });
        const source = new Readable({ read: () => undefined });
        source.push('12345 and more');
        const writing = rejection(pipeline(source, port.fds[3]!));
        expect(await rejection(text(port))).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3 });
        expect(await writing).to.include({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
        await closed(port);
      },
    );

    itWaits(
      'a source that fails destroys the port with its error, and the program never sees an end of its input',
      async () => {
        const file = path.join(folder, 'committed 1');
        const port = new PortDuplex(commits[0], [...commits[1], file], { pipes, stdio: { 3: 'in' } });
        await once(port, 'data');
        const source = new Readable({ read: () => undefined });
        source.push('half of it\n');
        const writing = rejection(pipeline(source, port.fds[3]!));
        const failure = once(port, 'error');
        await turn();
        source.destroy(new Error('the source failed'));
        expect((await writing).message).to.equal('the source failed');
        expect((await failure)[0]).to.have.property('message', 'the source failed');
        await closed(port);
        expect([port.signalCode, existsSync(file)]).to.deep.equal(['SIGTERM', false]);
      },
    );

    itWaits(
      'one that is destroyed before its end destroys the port, and the program never sees an end of its input',
      async () => {
        const file = path.join(folder, 'committed 2');
        const port = new PortDuplex(commits[0], [...commits[1], file], { pipes, stdio: { 3: 'in' } });
        await once(port, 'data');
        port.fds[3]!.write('half of it\n');
        port.fds[3]!.destroy();
        await closed(port);
        expect([port.signalCode, existsSync(file)]).to.deep.equal(['SIGTERM', false]);
      },
    );

    itWaits(
      'a port that is destroyed ends those that are read and destroys those that are written; none has an error',
      async () => {
        const port = start('echo so far >&4; exec sleep 60', { stdio: { 3: 'in', 4: 'out', 5: 'duplex' } });
        const { 3: written, 4: read, 5: both } = port.fds;
        const failures: unknown[] = [];
        for (const stream of [written, read, both]) stream!.on('error', (error) => failures.push(error));
        written!.write('x');
        const [first] = (await once(read!, 'data')) as [Buffer];
        const ended = once(read!.resume(), 'end');
        port.destroy();
        await closed(port);
        await ended;
        expect(String(first)).to.equal('so far\n');
        expect([written!.destroyed, both!.destroyed, read!.readableEnded]).to.deep.equal([true, true, true]);
        expect(failures).to.deep.equal([]);
      },
    );

    itWaits('where nothing could be started they end as well, also those that are asked for afterwards', async () => {
      const port = new PortDuplex('no-such-program', { pipes, stdio: { 3: 'in', 4: 'out', 5: 'out', 6: 'in' } });
      const words = text(port.fds[4]!);
      port.fds[3]!.write('to nobody');
      expect(await rejection(text(port))).to.include({ code: 'ERR_REXPORT_SPAWN' });
      expect(await words).to.equal('');
      await closed(port);
      expect([port.fds[3]!.destroyed, port.fds[6]!.destroyed]).to.deep.equal([true, true]);
      expect(await text(port.fds[5]!)).to.equal('');
    });

    itWaits('with `redirect` they pass through this process, beside what does not', async () => {
      const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
      writeFileSync(from, 'the file');
      const port = new PortDuplex(...sh('cat; cat <&3 >&4'), {
        pipes,
        redirect: true,
        stdio: { 3: 'in', 4: 'out' },
      });
      const words = text(port.fds[4]!);
      port.fds[3]!.end('beside it');
      await pipeline(createReadStream(from), port, createWriteStream(to));
      expect([port.bytesWritten, port.bytesRead]).to.deep.equal([undefined, undefined]);
      expect([readFileSync(to, 'utf8'), await words]).to.deep.equal(['the file', 'beside it']);
    });

    itWaits('the streams are there before the spawn, each always the same; there are no others', async () => {
      const port = start('true', { stdio: { 3: 'in', 200: 'out' } });
      expect(Object.keys(port.fds)).to.deep.equal(['3', '200']);
      expect(port.fds[3]).to.equal(port.fds[3]);
      expect([port.fds[3]!.readable, port.fds[3]!.writable]).to.deep.equal([false, true]);
      expect([port.fds[200]!.readable, port.fds[200]!.writable]).to.deep.equal([true, false]);
      expect(port.fds[4]).to.equal(undefined);
      port.fds[3]!.end();
      port.fds[200]!.resume();
      await text(port);
      await closed(port);
      expect(new PortDuplex('true').on('error', () => undefined).destroy().fds).to.deep.equal({});
    });

    it('a listener that throws keeps nobody from the rest', async () => {
      const thrown = await thrownToProcess(async () => {
        const port = start('seq 1 20000 >&3; echo done', { stdio: { 3: 'out' } });
        let bytes = 0;
        port.fds[3]!.once('data', () => {
          throw new Error('a listener');
        });
        port.fds[3]!.on('data', (chunk: Buffer) => (bytes += chunk.length));
        expect(await text(port)).to.equal('done\n');
        await closed(port);
        expect(bytes).to.be.within(20_000, 108_894);
      });
      expect(thrown.map((error) => (error as Error).message)).to.deep.equal(['a listener']);
    });
  });
}

describeOver(false);
inSmallOnly(
  [
    'a program reads what is written',
    'each carries much of its own',
    'one that goes both ways',
    'more of them than there are pipes',
    'what lies between them',
    'a program that writes where nobody reads',
    'what a program has left behind',
    'with a program that dies',
    'a source that fails',
    'where nothing could be started',
  ],
  () => describeOver(true),
);

describe('PortDuplex: descriptors 3 and up of real programs', () => {
  it('git tells on 3 what it does, apart from what it was asked', async function () {
    requirePrograms(this, 'git');
    const port = new PortDuplex('git', ['version'], { env: { GIT_TRACE: '3' }, stdio: { 3: 'out' } });
    const [version, told] = await Promise.all([text(port), text(port.fds[3]!)]);
    expect(version).to.match(/^git version \d/);
    expect(told).to.match(/ trace: built-in: git version\n/);
    await closed(port);
  });

  it('openssl takes a passphrase from 3, and the bytes from stdin', async function () {
    requirePrograms(this, 'openssl');
    const crypt = async (way: string[], input: Buffer): Promise<Buffer> => {
      const args = ['enc', ...way, '-aes-256-cbc', '-pbkdf2', '-iter', '1', '-pass', 'fd:3'];
      const port = new PortDuplex('openssl', args, { stdio: { 3: 'in' } });
      port.fds[3]!.end('a secret that no list of processes shows\n');
      port.end(input);
      return buffer(port);
    };
    const bytes = Buffer.alloc(300_000, 'all that matters ');
    const sealed = await crypt(['-e'], bytes);
    expect(sealed.includes('matters')).to.be.false;
    expect((await crypt(['-d'], sealed)).equals(bytes)).to.be.true;
  });
});

describe('PortDuplex: names of descriptors 3 and up', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // sockets everywhere else
  });

  it('a program opens /dev/fd/3 and /dev/fd/4 where they are pipes', async () => {
    const port = new PortDuplex(...sh('cat /dev/fd/3 >/dev/fd/4'), { pipes: true, stdio: { 3: 'in', 4: 'out' } });
    port.end();
    port.fds[3]!.end('by a name');
    expect(await text(port.fds[4]!)).to.equal('by a name');
    port.resume();
    await closed(port);
  });
});
