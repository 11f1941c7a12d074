import { expect } from 'chai';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { ExitError, InputClosedError, PortDuplex } from '../../lib';
import { onceMore } from '../support/other-options';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, idleSource, rejection, sh, zeros } from '../support/streams';
import { repeat, stressed } from '../support/stress';

const MEGABYTE = 1_000_000;
const TIMES = onceMore(stressed(200, 4), 2);
const SIZES = [0, 1, 512, 1777, 43_755, 77_777, 100_000, 2_000_000];

describe('PortDuplex: the input side', () => {
  const itWaits = sideBySide();

  it(`succeeds whatever a child that exits with 0 left unread, ${TIMES} times`, async () => {
    const run = (): Promise<void> => pipeline(zeros(MEGABYTE), new PortDuplex('true'), new CountingSink());
    await repeat(TIMES, 10, run);
  });

  it(`fails with the exit error whatever a child that exits with 1 left unread, ${TIMES} times`, async () => {
    const run = async (): Promise<void> => {
      const error = await rejection(pipeline(zeros(MEGABYTE), new PortDuplex('false'), new CountingSink()));
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 1, signal: null, command: 'false' });
    };
    await repeat(TIMES, 10, run);
  });

  it('delivers all output of a filter that takes what it needs and leaves with 0, and says once what it did not take', async () => {
    const port = new PortDuplex('head', ['-c', '1']);
    const drops: number[] = [];
    port.on('inputclosed', (bytesDropped: number) => drops.push(bytesDropped));
    const sink = new CountingSink();
    await pipeline(zeros(MEGABYTE), port, sink);
    expect(sink.bytes).to.equal(1);
    expect(drops).to.have.lengthOf(1);
    expect(drops[0]).to.be.greaterThan(0);
    expect(port.bytesDropped! + port.bytesWritten!).to.equal(MEGABYTE);
  });

  it("rejects after the output when the child closes its input early under onInputClosed: 'error'", async () => {
    const port = new PortDuplex('head', ['-c', '1'], { onInputClosed: 'error' });
    let output = '';
    port.on('data', (chunk: Buffer) => (output += String(chunk)));
    zeros(MEGABYTE).pipe(port);
    const [error] = (await once(port, 'error')) as [Error];
    expect(error).to.be.instanceOf(InputClosedError).and.include({ code: 'ERR_REXPORT_INPUT_CLOSED', command: 'head' });
    expect(error.message).to.match(/^head closed its input before all was written: \d+ bytes were not taken$/);
    expect(output).to.have.lengthOf(1);
    await closed(port);
  });

  it("gives the exit error, with the closed input as its cause, when both happened under onInputClosed: 'error'", async () => {
    const port = new PortDuplex('false', { onInputClosed: 'error' });
    const error = await rejection(pipeline(zeros(MEGABYTE), port, new CountingSink()));
    expect(error).to.be.instanceOf(ExitError);
    expect(error.cause).to.be.instanceOf(InputClosedError);
  });

  it('does not call a small input closed that the kernel took whole', async () => {
    // The shell reads one line, byte by byte, and leaves the other unread.
    const port = new PortDuplex(...sh('read line'), { onInputClosed: 'error' });
    port.on('inputclosed', () => expect.fail('nothing was dropped'));
    port.end('one line\nanother\n');
    port.resume();
    await closed(port);
    expect(port.exitCode).to.equal(0);
  });

  itWaits('keeps the readable side open when the child closes its stdin and goes on working', async () => {
    const port = new PortDuplex(...sh('exec 0<&-; sleep 0.4; echo done'));
    const [output] = await Promise.all([text(port), pipeline(zeros(MEGABYTE), port)]);
    expect(output).to.equal('done\n');
  });

  itWaits('calls every write back once, within a second of the exit, also the one that was half done', async () => {
    const port = new PortDuplex('sleep', ['0.3']);
    const calls = new Map<number, number>();
    for (let index = 0; index < 16; index += 1) {
      port.write(Buffer.alloc(65_536), () => calls.set(index, (calls.get(index) ?? 0) + 1));
    }
    port.resume();
    await once(port, 'exit');
    const exitedAt = performance.now();
    port.end();
    await closed(port);
    expect(performance.now() - exitedAt).to.be.below(1000);
    expect([...calls.values()]).to.deep.equal(Array.from({ length: 16 }, () => 1));
    expect(port.bytesWritten! + port.bytesDropped!).to.equal(16 * 65_536);
  });

  it('calls a write back that was made before the spawn and destroyed with the port', async () => {
    const port = new PortDuplex('cat');
    const called = new Promise((resolve) => port.write('never sent', resolve));
    port.destroy();
    await Promise.all([called, closed(port)]);
    expect(port.pid).to.equal(undefined);
  });

  it('ends the readable side when the child leaves with 0 while the source is idle', async () => {
    const source = idleSource();
    const port = new PortDuplex(...sh('echo bye'));
    source.pipe(port);
    expect(await text(port)).to.equal('bye\n');
    expect(port.destroyed).to.equal(false);
    source.destroy();
    port.end();
    await closed(port);
  });

  it('rejects at once when the child fails while the source is idle', async () => {
    const error = await rejection(pipeline(idleSource(), new PortDuplex(...sh('exit 4')), new CountingSink()));
    expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 4 });
  });

  it('returns false from write at its mark and never buffers more than the mark and one chunk', async () => {
    const port = new PortDuplex('sleep', ['5']);
    await once(port, 'spawn');
    const chunk = Buffer.alloc(65_536);
    for (let calls = 0; calls < 100; calls += 1) {
      const isOpen = port.write(chunk);
      expect(port.writableLength).to.be.at.most(port.writableHighWaterMark + chunk.length);
      if (!isOpen) {
        expect(port.writableNeedDrain).to.equal(true);
        // What the kernel takes at once drains at once; only a full pipe stays.
        const drained = await Promise.race([once(port, 'drain').then(() => true), fewTurns().then(() => false)]);
        if (!drained) break;
      }
    }
    expect(port.writableNeedDrain).to.equal(true);
    port.destroy();
    await closed(port);
  });

  it('runs the program for an empty source, closes its stdin and delivers its output', async () => {
    const port = new PortDuplex(...sh('cat; echo tail'));
    const [output] = await Promise.all([text(port), pipeline(Readable.from([]), port)]);
    expect(output).to.equal('tail\n');
  });

  it('echoes what is written while it is read, whatever the size', async () => {
    for (const size of stressed(SIZES, onceMore([0, 1, 77_777, 1_000_000], [0, 77_777]))) {
      const sent = Buffer.alloc(size);
      for (let index = 0; index < size; index += 1) sent[index] = index * 7;
      const port = new PortDuplex('cat');
      port.end(sent);
      expect((await buffer(port)).equals(sent), `${size} bytes`).to.equal(true);
    }
  });

  itWaits('settles as a pure sink when its child has exited, with all input taken', async () => {
    const port = new PortDuplex(...sh('cat >/dev/null; sleep 0.1'), { stdout: 'ignore' });
    await pipeline(zeros(2 * MEGABYTE), port);
    expect(port.exitCode).to.equal(0);
    expect(port.bytesWritten).to.equal(2 * MEGABYTE);
    const failing = new PortDuplex(...sh('cat >/dev/null; sleep 0.1; exit 3'), { stdout: 'ignore' });
    expect(await rejection(pipeline(zeros(MEGABYTE), failing))).to.include({ exitCode: 3 });
  });

  itWaits('as the last stage without stdout ignored, finishes after the exit status, never before', async () => {
    const port = new PortDuplex(...sh('cat >/dev/null; sleep 0.1; exit 3'));
    let hasFinished = false;
    port.on('finish', () => (hasFinished = true));
    expect(await rejection(pipeline(zeros(1000), port))).to.include({ exitCode: 3 });
    expect(hasFinished).to.equal(false);
    const good = new PortDuplex(...sh('cat >/dev/null; sleep 0.1'));
    await pipeline(zeros(1000), good);
    expect(good.exitCode).to.equal(0);
  });

  itWaits('hands over writes in their order, made before, at and in every tick around the spawn', async () => {
    const run = async (): Promise<void> => {
      const port = new PortDuplex('cat');
      const output = text(port);
      let written = '';
      const write = (): void => {
        const mark = `${written.length} `;
        written += mark;
        port.write(mark);
      };
      write();
      write();
      process.nextTick(() => {
        write();
        process.nextTick(write);
      });
      void Promise.resolve().then(write);
      const spawned = new Promise<void>((resolve) => {
        port.once('spawn', () => {
          write();
          process.nextTick(write);
          void Promise.resolve().then(write);
          write();
          setImmediate(resolve);
        });
      });
      for (let turn = 0; turn < 8; turn += 1) {
        write();
        await (turn % 2 === 0 ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve)));
      }
      await spawned;
      port.end('end');
      expect(await output).to.equal(`${written}end`);
    };
    await repeat(stressed(20, 4), 2, run);
  });
});

async function fewTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
