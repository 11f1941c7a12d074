import { once } from 'node:events';
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  ReadStream,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable, Transform, type Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { ExitError, PortDuplex, SpawnError, type PortDuplexOptions } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { survivors } from '../support/processes';
import { askProgram } from '../support/programs';
import { closed, CountingSink, rejection, sh } from '../support/streams';
import { repeat, stressed } from '../support/stress';

/** More than a pipe or a buffer of ours holds. */
const INPUT = 'a line of the input\n'.repeat(stressed(50_000, 20_000));

function redirected(command: string, args: readonly string[] = [], options: PortDuplexOptions = {}): PortDuplex {
  return new PortDuplex(command, args, { redirect: true, ...options });
}

/** What a child's descriptor is: a path, or `socket:[NUMBER]`. */
function target(port: PortDuplex, fd: number): string {
  return readlinkSync(`/proc/${port.pid}/fd/${fd}`);
}

/** The same for all of our own; the one that lists them is gone when it is looked at. */
function ownTargets(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return [];
    }
  });
}

describe('PortDuplex: redirect', () => {
  let folder: string;
  let input: string;
  let output: string;
  let events: ProcessEvents;

  const source = (): ReadStream => createReadStream(input);
  const written = (): string => readFileSync(output, 'utf8');

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'rexport-redirect-')));
    [input, output] = [path.join(folder, 'in'), path.join(folder, 'out')];
    writeFileSync(input, INPUT);
    events = new ProcessEvents();
  });

  afterEach('nothing reached process', async () => {
    rmSync(folder, { recursive: true });
    expect(await events.stop()).to.deep.equal([]);
  });

  describe('past this process', () => {
    before(function () {
      if (process.platform !== 'linux') this.skip(); // it looks into /proc
    });

    it("makes the files themselves the child's descriptors 0 and 1", async () => {
      const port = redirected(...sh('cat; exec sleep 30'));
      const outcome = rejection(pipeline(source(), port, createWriteStream(output)));
      await once(port, 'spawn');
      expect([target(port, 0), target(port, 1)]).to.deep.equal([input, output]);
      port.destroy();
      expect(await outcome).to.include({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
      await closed(port);
    });

    it('closes our own descriptor of the source at once, while the child still reads', async () => {
      const port = redirected(...sh('read line; sleep 30'));
      const file = source();
      file.pipe(port);
      await once(file, 'close');
      expect(ownTargets()).to.not.include(input);
      expect(port.exitCode).to.equal(null);
      expect(target(port, 0)).to.equal(input);
      port.destroy();
      await closed(port);
    });

    const megabytes = stressed(64, 3);
    it(`moves ${megabytes} MB through one program and through three, and reads and writes none of it itself`, async () => {
      type Moved = { bytes: number; read: number; written: number }[];
      const moved = await askProgram<Moved>('redirected', [`${megabytes}`]);
      expect(moved.map(({ bytes }) => bytes)).to.deep.equal([megabytes * 1e6, megabytes * 1e6]);
      for (const { read, written } of moved) {
        expect(read).to.be.below(1e6);
        expect(written).to.be.below(1e6);
      }
    });

    it('joins two programs by one pipe, or by a pair of sockets where there is none, and keeps ends of it', async () => {
      const [first, second] = [redirected('cat'), redirected('cat')];
      const idle = new PassThrough();
      const outcome = rejection(pipeline(idle, first, second, new CountingSink()));
      await once(first, 'spawn');
      const ours = ownTargets().filter((name) => name === target(first, 1));
      if (process.platform === 'linux') {
        expect(target(first, 1)).to.match(/^pipe:/);
        expect(target(second, 0)).to.equal(target(first, 1));
        // to see how the first ends before the second sees the end of input, and to read on when the second has left
        expect(ours).to.have.lengthOf(2);
      } else {
        // a socket's other end has another number: what the first writes to is our end of the second's stdin
        expect(target(first, 1)).to.match(/^socket:/);
        expect(target(first, 1)).to.not.equal(target(second, 0));
        expect(ours).to.have.lengthOf(1);
      }
      expect([first.bytesRead, second.bytesWritten]).to.deep.equal([undefined, undefined]);
      idle.destroy(new Error('enough'));
      await outcome;
      await Promise.all([closed(first), closed(second)]);
      expect(ownTargets().filter((name) => ours.includes(name))).to.deep.equal([]);
    });
  });

  describe('gives the same result', () => {
    const upper = (): PortDuplex => redirected('tr', ['a-z', 'A-Z']);
    const cat = (): PortDuplex => redirected('cat');
    const reversed = (): Transform =>
      new Transform({ transform: (chunk: Buffer, _encoding, callback) => callback(null, chunk.reverse()) });
    type Mixes = Record<string, () => (Readable | Writable)[]>;
    /** What the others have at one of their ends. */
    const more: Mixes = {
      'a file, two programs, a stream': () => [source(), cat(), upper(), sinkInto()],
      'a stream, two programs, a file': () => [Readable.from([INPUT]), cat(), upper(), createWriteStream(output)],
    };
    const mixes: Mixes = {
      'a file, a program, a file': () => [source(), upper(), createWriteStream(output)],
      'a file, three programs, a file': () => [source(), cat(), upper(), cat(), createWriteStream(output)],
      'a stream, two programs, a stream': () => [Readable.from([INPUT]), cat(), upper(), sinkInto()],
      'a file, a program, two streams, a program, a file': () => [
        ...[source(), cat(), reversed(), reversed(), upper()],
        createWriteStream(output),
      ],
      'a file, a program that is not redirected, one that is, a file': () => [
        ...[source(), new PortDuplex('cat'), upper()],
        createWriteStream(output),
      ],
      'a file, a program that is redirected, one that is not, a file': () => [
        ...[source(), upper(), new PortDuplex('cat')],
        createWriteStream(output),
      ],
      'a program alone, a program, a file': () => [
        redirected('cat', [input], { stdin: 'ignore' }),
        upper(),
        createWriteStream(output),
      ],
      'a file, a program, a program that has no stdout': () => [
        ...[source(), upper()],
        redirected(...sh(`cat >'${output}'`), { stdout: 'ignore' }),
      ],
      ...stressed(more, {}),
    };
    const sinkInto = (): Writable =>
      new PassThrough().on('data', (chunk: Buffer) => writeFileSync(output, chunk, { flag: 'a' }));

    for (const [mix, stages] of Object.entries(mixes)) {
      it(`from ${mix}`, async () => {
        await pipeline(stages() as Readable[]);
        expect(written() === INPUT.toUpperCase()).to.equal(true);
      });
    }
  });

  describe('keeps what streams promise:', () => {
    it('end, finish and close come after the exit, and the file is complete when the pipeline resolves', async () => {
      const port = redirected(...sh('cat; sleep 0.1; echo end'));
      const seen: string[] = [];
      for (const event of ['spawn', 'exit', 'end', 'finish', 'close', 'outputclosed', 'inputclosed']) {
        port.on(event, () => seen.push(event));
      }
      await pipeline(source(), port, createWriteStream(output));
      expect(written() === `${INPUT}end\n`).to.equal(true);
      await closed(port);
      expect(seen.slice(0, 2)).to.deep.equal(['spawn', 'exit']);
      expect(seen.slice(2).sort()).to.deep.equal(['close', 'end', 'finish']);
      expect([port.bytesWritten, port.bytesRead, port.bytesDropped]).to.deep.equal([undefined, undefined, undefined]);
    });

    it('writableNeedDrain is true until the spawn, then drain comes', async () => {
      const port = redirected('cat');
      expect(port.writableNeedDrain).to.equal(true);
      const order: string[] = [];
      port.once('spawn', () => order.push(`spawn ${port.writableNeedDrain}`)).once('drain', () => order.push('drain'));
      await once(port, 'drain');
      expect(order).to.deep.equal(['spawn false', 'drain']);
      port.end('x');
      expect(await text(port)).to.equal('x');
    });

    it('a drain is not said too early to who was told to wait', async () => {
      const port = redirected('sleep', ['30']);
      const chunk = Buffer.alloc(4_000_000);
      expect(port.write(chunk)).to.equal(false);
      port.once('drain', () => expect.fail('the program reads nothing'));
      await once(port, 'spawn');
      await new Promise((resolve) => setImmediate(resolve));
      port.destroy();
      await closed(port);
    });

    it('a sink that was opened to append is appended to, and goes on after the program', async () => {
      writeFileSync(output, 'head\n');
      const sink = createWriteStream(output, { flags: 'a' });
      const port = redirected('cat');
      source().pipe(port).pipe(sink, { end: false });
      await once(port, 'end');
      sink.end('foot\n');
      await closed(sink);
      expect(written() === `head\n${INPUT}foot\n`).to.equal(true);
      expect(port.bytesRead).to.equal(undefined);
      await closed(port);
    });

    it('a sink that is open already is taken', async () => {
      const sink = createWriteStream(output);
      await once(sink, 'open');
      const port = redirected('cat');
      await pipeline(source(), port, sink);
      expect(written() === INPUT).to.equal(true);
      expect(port.bytesRead).to.equal(undefined);
    });

    it('an endless file ends with its reader', async () => {
      const head = redirected('head', ['-c', '5']);
      await pipeline(createReadStream('/dev/zero'), head, createWriteStream(output));
      expect(written()).to.equal('\0\0\0\0\0');
      expect(head.bytesWritten).to.equal(undefined);
    });

    it('an upstream that fails does not make its reader believe in the end of the input', async () => {
      const marker = path.join(folder, 'complete');
      const bad = redirected(...sh('cat; exit 3'));
      const reader = redirected(...sh(`cat >/dev/null; echo >'${marker}'`), { stdout: 'ignore' });
      const error = await rejection(pipeline(source(), bad, reader));
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3 });
      await closed(reader);
      expect([existsSync(marker), reader.signalCode]).to.deep.equal([false, 'SIGTERM']);
    });

    it('a failure of the program that writes to a reader that has left is nobody’s business, in whatever way it fails', async () => {
      const run = async (failing: string, leaving: string, file: string): Promise<void> => {
        const first = redirected(...sh(failing), { stdin: 'ignore', stderr: 'ignore' });
        const reader = redirected(...sh(leaving));
        await pipeline(first, reader, createWriteStream(file));
        expect(readFileSync(file, 'utf8')).to.equal('done\n');
        expect(first.exitCode ?? first.signalCode).to.not.equal(null);
      };
      // with the shell's `exec` the reader closes its input long before it ends
      const readers = ['exec 0<&-; sleep 0.1; echo done', 'head -n 1 >/dev/null; echo done'];
      const failures = ['yes', 'yes; exit 7', 'while :; do echo y; sleep 0.001; done; exit 9'];
      const all = readers.flatMap((leaving) => failures.map((failing) => [failing, leaving] as const));
      // in small each of them once
      const pairs = stressed(all, [all[0]!, all[4]!, all[2]!]);
      await Promise.all(pairs.map((pair, index) => run(...pair, `${output} ${index}`)));
    });

    it('a failure of the program that writes to a reader that still reads is raised', async () => {
      for (const [script, facts] of [
        ['echo x; exit 7', { exitCode: 7 }],
        ['echo x; kill -PIPE $$', { signal: 'SIGPIPE' }],
      ] as const) {
        const pipes = pipeline(redirected(...sh(script), { stdin: 'ignore' }), redirected('cat'), new CountingSink());
        expect(await rejection(pipes))
          .to.be.instanceOf(ExitError)
          .and.include(facts);
      }
    });

    it('an abort ends all children of a chain, wherever it meets them', async () => {
      for (const wait of ['nextTick', 'open', 'spawn', 'later'] as const) {
        const ports = [redirected('cat'), redirected(...sh('cat; exec sleep 30')), redirected('cat')];
        const controller = new AbortController();
        const file = source();
        const stages = [file, ...ports, createWriteStream(output)] as unknown as [ReadStream, PortDuplex, Writable];
        const outcome = rejection(pipeline(...stages, { signal: controller.signal }));
        if (wait === 'nextTick') process.nextTick(() => controller.abort());
        if (wait === 'open') file.once('open', () => controller.abort());
        if (wait === 'spawn') ports[1]!.once('spawn', () => controller.abort());
        if (wait === 'later') ports[0]!.once('exit', () => controller.abort());
        expect(await outcome, wait).to.include({ name: 'AbortError' });
        await Promise.all(ports.map(closed));
        expect(await survivors(ports.flatMap(({ pid }) => pid ?? []))).to.deep.equal([]);
      }
    });
  });

  describe('is not done, and the result is the ordinary one,', () => {
    /** The input passes through us, and what the child gets is right. */
    async function isOrdinary(file: Readable, options: PortDuplexOptions = {}, expected = INPUT): Promise<void> {
      const port = redirected('cat', [], options);
      await pipeline(file, port, createWriteStream(output));
      expect(written() === expected).to.equal(true);
      expect(port.bytesWritten).to.equal(Buffer.byteLength(expected));
    }

    it('of a source that begins or ends elsewhere than the file', async () => {
      await isOrdinary(createReadStream(input, { start: 7 }), {}, INPUT.slice(7));
      await isOrdinary(createReadStream(input, { end: 6 }), {}, INPUT.slice(0, 7));
    });

    it('of a source that is decoded, and written anew', async () => {
      await isOrdinary(createReadStream(input, { encoding: 'utf8' }));
      const late = source();
      await isOrdinary(late.setEncoding('utf8'));
    });

    it('of a source that somebody else sees', async () => {
      const file = source();
      let bytes = 0;
      file.on('data', (chunk) => (bytes += chunk.length));
      await isOrdinary(file);
      expect(bytes).to.equal(INPUT.length);
      const late = source();
      late.once('open', () => late.on('data', (chunk) => (bytes += chunk.length)));
      // the stream that comes first in `open` is asked
      await isOrdinary(late);
      expect(bytes).to.equal(2 * INPUT.length);
    });

    it('of a source with methods of its own', async () => {
      let calls = 0;
      class Counting extends ReadStream {
        override _read(size: number): void {
          calls += 1;
          super._read(size);
        }
      }
      await isOrdinary(new (Counting as unknown as new (path: string) => ReadStream)(input));
      const file = source();
      const read = file._read.bind(file);
      file._read = (size) => {
        calls += 1;
        read(size);
      };
      await isOrdinary(file);
      expect(calls).to.be.greaterThan(2);
    });

    it('of a source that its user keeps open, or gave a descriptor', async () => {
      const file = createReadStream(input, { autoClose: false });
      await isOrdinary(file);
      file.destroy();
      await closed(file);
      await isOrdinary(createReadStream('', { fd: openSync(input, 'r') }));
    });

    it('of a directory, a FIFO, or a port that counts what its program takes', async () => {
      const error = await rejection(pipeline(createReadStream(folder), redirected('cat'), createWriteStream(output)));
      expect(error).to.include({ code: 'EISDIR' });
      const fifo = path.join(folder, 'fifo');
      await pipeline('', new PortDuplex('mkfifo', [fifo]), new CountingSink());
      await Promise.all([
        pipeline(source(), redirected('cat'), createWriteStream(fifo)),
        isOrdinary(createReadStream(fifo)),
      ]);
      await isOrdinary(source(), { onInputClosed: 'error' });
    });

    it('of a port that was written to, and the order of writes holds', async () => {
      const port = redirected('cat');
      port.write('first\n');
      port.write('second\n');
      await pipeline(source(), port, createWriteStream(output));
      expect(written() === `first\nsecond\n${INPUT}`).to.equal(true);
      expect(port.bytesWritten).to.equal(INPUT.length + 13);
    });

    it('of two sources, or two sinks', async () => {
      const port = redirected('cat');
      const sinks = [createWriteStream(output), new CountingSink()] as const;
      const other = new PassThrough();
      other.pipe(port, { end: false });
      source().pipe(port);
      for (const sink of sinks) port.pipe(sink);
      await Promise.all(sinks.map(closed));
      expect([sinks[1].bytes, written().length, port.bytesWritten]).to.deep.equal(Array(3).fill(INPUT.length));
      other.destroy();
    });

    it('of a sink that begins elsewhere, was written to, or gets from others too', async () => {
      const through = async (sink: Writable, expected: string): Promise<void> => {
        const port = redirected('cat');
        await pipeline(source(), port, sink);
        expect(written() === expected).to.equal(true);
        expect([port.bytesWritten, port.bytesRead]).to.deep.equal([undefined, INPUT.length]);
      };
      writeFileSync(output, 'kept');
      await through(createWriteStream(output, { flags: 'r+', start: 4 }), `kept${INPUT}`);
      const sink = createWriteStream(output);
      sink.write('head\n');
      await through(sink, `head\n${INPUT}`);
      const shared = createWriteStream(output);
      const other = new PassThrough();
      other.pipe(shared);
      await through(shared, INPUT);
    });

    it('of a port whose bytes are decoded', async () => {
      const port = redirected('cat');
      port.setEncoding('utf8');
      await pipeline(source(), port, createWriteStream(output));
      expect([written() === INPUT, port.bytesRead]).to.deep.equal([true, INPUT.length]);
    });

    it('of a terminal', async function () {
      if (!existsSync('/dev/ptmx')) this.skip(); // only a new terminal is sure to be there, and nobody else's
      const port = redirected('echo', ['hello'], { stdin: 'ignore' });
      await pipeline(port, createWriteStream('/dev/ptmx'));
      expect(port.bytesRead).to.equal(6);
    });

    it('of neighbours that come after the spawn', async () => {
      const port = redirected('cat');
      await once(port, 'spawn');
      await pipeline(source(), port, createWriteStream(output));
      expect([written() === INPUT, port.bytesWritten]).to.deep.equal([true, INPUT.length]);
    });

    it('of ports in a ring, which would wait for each other', async () => {
      const [first, second] = [redirected('cat'), redirected('head', ['-c', '3'])];
      first.pipe(second).pipe(first);
      for (const port of [first, second]) if (port.pid === undefined) await once(port, 'spawn');
      first.destroy();
      second.destroy();
      const alone = redirected('cat');
      alone.pipe(alone);
      await once(alone, 'spawn');
      alone.destroy();
      await Promise.all([first, second, alone].map(closed));
    });
  });

  describe('never hands over another file:', () => {
    it('a source that is open already, and would be closed before the spawn', async () => {
      // The descriptors that are freed first are given first: they would get the number of the source's.
      const file = source();
      await once(file, 'open');
      const port = redirected('cat');
      const outcome = pipeline(file, port, createWriteStream(output));
      const others = Array.from({ length: 10 }, () => openSync(__filename, 'r'));
      await outcome;
      for (const fd of others) closeSync(fd);
      expect([written() === INPUT, port.bytesWritten]).to.deep.equal([true, INPUT.length]);
    });

    it('a source and a sink whose `fs` is not ours, and calls by a number what is something else here', async () => {
      const secret = openSync(__filename, 'r+');
      const before = fstatSync(secret).size;
      const bytes = Buffer.from('from elsewhere');
      const taken: Buffer[] = [];
      type Callback = (error: Error | null, value?: number, buffer?: Buffer) => void;
      let position = 0;
      const elsewhere = {
        open: (_path: string, _flags: string, _mode: number, callback: Callback) =>
          setImmediate(callback, null, secret),
        close: (_fd: number, callback: Callback) => setImmediate(callback, null),
        read: (_fd: number, into: Buffer, offset: number, length: number, _at: number, callback: Callback) => {
          const read = bytes.copy(into, offset, position, position + length);
          position += read;
          setImmediate(callback, null, read, into);
        },
        write: (_fd: number, chunk: Buffer, offset: number, length: number, _at: number, callback: Callback) => {
          taken.push(Buffer.from(chunk.subarray(offset, offset + length)));
          setImmediate(callback, null, length, chunk);
        },
      };
      const port = redirected('cat');
      for (const name of [input, path.join(folder, 'no such file')]) {
        position = 0;
        taken.length = 0;
        const ends = { fs: elsewhere } as object;
        await pipeline(createReadStream(name, ends), redirected('cat'), createWriteStream(name, ends));
        expect(String(Buffer.concat(taken))).to.equal('from elsewhere');
      }
      expect(fstatSync(secret).size).to.equal(before);
      closeSync(secret);
      port.destroy();
      await closed(port);
    });

    it('a source whose descriptor somebody closes while the sink is waited for', async () => {
      const fifo = path.join(folder, 'fifo');
      await pipeline('', new PortDuplex('mkfifo', [fifo]), new CountingSink());
      // The lowest number is given first: the FIFO, which opens on another thread, gets one of these and not the source's.
      const low = Array.from({ length: 10 }, () => openSync(__filename, 'r'));
      const file = source();
      const last = redirected('cat');
      // A FIFO opens when somebody reads from it: the sink is waited for until then.
      const outcome = rejection(pipeline(file, last, createWriteStream(fifo)));
      const [fd] = (await once(file, 'open')) as [number];
      for (const number of [...low, fd]) closeSync(number);
      const others = Array.from({ length: 20 }, () => openSync(__filename, 'r'));
      expect(others).to.include(fd);
      const got = text(createReadStream(fifo));
      expect((await outcome).message).to.equal(`the descriptor of ${input} was closed by somebody else`);
      expect(await got).to.equal('');
      await Promise.all([closed(file), closed(last)]);
      // the stream has closed what it takes for its own
      for (const other of others) if (other !== fd) closeSync(other);
    });

    it('a source that is unpiped or destroyed while the sink is waited for', async () => {
      const fifo = path.join(folder, 'fifo');
      await pipeline('', new PortDuplex('mkfifo', [fifo]), new CountingSink());
      const file = source();
      const port = redirected('cat');
      file.pipe(port).pipe(createWriteStream(fifo));
      await once(file, 'open');
      file.destroy();
      await closed(file);
      const others = Array.from({ length: 10 }, () => openSync(__filename, 'r'));
      const got = text(createReadStream(fifo));
      await once(port, 'spawn');
      port.end('what came instead');
      expect(await got).to.equal('what came instead');
      for (const fd of others) closeSync(fd);
      await closed(port);
    });
  });

  describe('differs in this:', () => {
    it('a file that cannot be opened starts no program', async () => {
      for (const [from, to] of [
        [path.join(folder, 'nope'), output],
        [input, path.join(folder, 'no', 'such')],
      ] as const) {
        const marker = path.join(folder, 'marker');
        const port = redirected(...sh(`echo >'${marker}'`));
        const error = await rejection(pipeline(createReadStream(from), port, createWriteStream(to)));
        expect(error).to.include({ code: 'ENOENT' });
        await closed(port);
        expect([port.pid, existsSync(marker)]).to.deep.equal([undefined, false]);
      }
    });

    it('a program that cannot be started keeps the one before it from starting', async () => {
      const run = async (sink: Writable): Promise<void> => {
        const [file, first, second] = [source(), redirected('cat'), redirected('no-such-program')];
        const outcome = rejection(pipeline(file, first, second, sink));
        expect(await outcome)
          .to.be.instanceOf(SpawnError)
          .and.include({ command: 'no-such-program' });
        await closed(first);
        expect(first.pid).to.equal(undefined);
      };
      // many at once, so that the source is opened now before the refusal is known and now after
      await repeat(stressed(100, 6), 20, () => run(new CountingSink()));
    });

    it('what others write to the port is an error: they would be lost in silence', async () => {
      const port = redirected('cat');
      source().pipe(port, { end: false });
      await once(port, 'spawn');
      port.resume().end('and this');
      const [error] = (await once(port, 'error')) as [Error];
      expect(error).to.include({ code: 'ERR_REXPORT_INPUT_CLOSED' });
      expect(error.message).to.equal(
        'a redirected program reads its source itself: it takes none of 8 bytes written to its port',
      );
      await closed(port);
    });

    it('a descendant that goes on writing to the file is not waited for', async () => {
      const port = redirected(...sh('sleep 30 & echo $!'), { stdin: 'ignore' });
      await pipeline(port, createWriteStream(output));
      process.kill(Number(written()), 'SIGKILL');
    });

    it('a descendant that holds the pipe to the next program is waited for, as in a shell', async () => {
      const first = redirected(...sh('(sleep 0.3; echo late) & echo early'), { stdin: 'ignore' });
      expect(await pipeline(first, redirected('cat'), text)).to.equal('early\nlate\n');
    });

    it('an error of the disk is the program’s own', async function () {
      if (!existsSync('/dev/full')) this.skip(); // a device of Linux
      const full = (): Writable => createWriteStream('/dev/full');
      const error = await rejection(pipeline(source(), redirected('cat'), full()));
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 1 });
      expect(await rejection(pipeline(source(), new PortDuplex('cat'), full()))).to.include({ code: 'ENOSPC' });
    });
  });
});
