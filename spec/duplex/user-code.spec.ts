import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { PortDuplex, SpawnError } from '../../lib';
import { until } from '../support/processes';
import { closed, CountingSink, sh } from '../support/streams';

type Listener = NodeJS.UncaughtExceptionListener;

/** What reaches the process, where mocha does not see it. */
class Uncaught {
  readonly errors: unknown[] = [];
  readonly #others = process.listeners('uncaughtException');
  readonly #listener: Listener = (error) => void this.errors.push(error);

  constructor() {
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', this.#listener);
  }

  stop(): void {
    process.removeListener('uncaughtException', this.#listener);
    for (const other of this.#others) process.on('uncaughtException', other);
  }
}

describe('PortDuplex: code of its user', () => {
  describe('that throws reaches the process as it is, and the port goes on:', () => {
    let uncaught: Uncaught;
    const thrown = new Error('the user threw');
    const fail = (): never => {
      throw thrown;
    };

    beforeEach(() => (uncaught = new Uncaught()));
    afterEach(() => uncaught.stop());

    for (const event of ['spawn', 'exit', 'data', 'end', 'finish', 'outputclosed'] as const) {
      it(`a listener of ${event}`, async () => {
        const port = new PortDuplex(...sh('cat; exec 1>&-; sleep 0.05')).resume();
        port.once(event, fail);
        port.end('input');
        await closed(port);
        expect([port.exitCode, port.errored]).to.deep.equal([0, null]);
        expect(uncaught.errors).to.deep.equal([thrown]);
      });
    }

    for (const pipes of [false, true]) {
      for (const [where, doThrow] of [
        ['at each chunk', fail],
        ['in a tick of each chunk', () => process.nextTick(fail)],
      ] as const) {
        it(`a listener of data ${where}, and no byte is lost or another: ${pipes ? 'pipes' : 'sockets'}`, async () => {
          const port = new PortDuplex('cat', { pipes });
          const chunks: Buffer[] = [];
          port.on('data', (chunk: Buffer) => {
            chunks.push(chunk);
            doThrow();
          });
          const texts = ['one', 'two, longer', '3', 'four, the longest', '5'];
          for (const [index, text] of texts.entries()) {
            port.write(text);
            expect(await until(() => chunks.length > index)).to.equal(true);
          }
          port.end();
          await closed(port);
          expect(chunks.map(String)).to.deep.equal(texts);
          expect(uncaught.errors).to.deep.equal(Array(texts.length).fill(thrown));
        });
      }
    }

    it('a listener of spawn of a redirected port, which still says drain', async () => {
      const port = new PortDuplex('cat', { redirect: true }).resume();
      port.once('spawn', fail);
      await pipeline(Readable.from(['x']), port);
      await closed(port);
      expect(uncaught.errors).to.deep.equal([thrown]);
    });

    it('a listener of inputclosed', async () => {
      const port = new PortDuplex('true').resume();
      port.once('inputclosed', fail);
      port.end(Buffer.alloc(1_000_000));
      await closed(port);
      expect([uncaught.errors, port.exitCode]).to.deep.equal([[thrown], 0]);
    });

    it('a listener of error: close comes all the same', async () => {
      const port = new PortDuplex(...sh('exit 3')).on('error', fail);
      await closed(port);
      expect(uncaught.errors).to.deep.equal([thrown]);
    });

    it('no listener of error: the failure itself reaches the process, and close comes', async () => {
      const port = new PortDuplex(...sh('exit 3'));
      await closed(port);
      expect(uncaught.errors).to.deep.equal([port.errored]);
    });

    it('a listener of stderr: the failure is raised all the same', async () => {
      const port = new PortDuplex(...sh('echo why >&2; exit 3'));
      port.stderr!.on('data', fail).on('end', fail);
      const [error] = (await once(port, 'error')) as [Error];
      expect(error).to.include({ exitCode: 3, stderrTail: 'why\n' });
      await closed(port);
      await new Promise((resolve) => setImmediate(resolve));
      expect(uncaught.errors.length).to.be.greaterThan(0);
      expect(new Set(uncaught.errors)).to.deep.equal(new Set([thrown]));
    });

    it('callbacks of write and end: the writes behind them go on, and finish comes', async () => {
      const port = new PortDuplex('cat').resume();
      let calls = 0;
      for (let count = 0; count < 5; count += 1) {
        port.write('x', () => {
          calls += 1;
          throw thrown;
        });
      }
      port.end('last', fail);
      await closed(port);
      await new Promise((resolve) => setImmediate(resolve));
      expect([calls, port.bytesWritten, port.writableFinished]).to.deep.equal([5, 9, true]);
      expect(uncaught.errors).to.deep.equal(Array(6).fill(thrown));
    });
  });

  describe('that calls back:', () => {
    it('destroy() in a data listener lets a polite program flush what it has', async () => {
      const script =
        'trap "head -c 500000 /dev/zero; exit 7" TERM; head -c 500000 /dev/zero; while :; do sleep 0.01; done';
      const port = new PortDuplex(...sh(script), { highWaterMark: 1 });
      port.once('data', () => port.destroy());
      await closed(port);
      expect(port.exitCode).to.equal(7);
    });

    it('a reader that asks for more while it is given a chunk is given more', async () => {
      const port = new PortDuplex('head', ['-c', '1000000', '/dev/zero'], { stdin: 'ignore', highWaterMark: 1000 });
      let bytes = 0;
      port.once('data', (chunk: Buffer) => {
        port.pause();
        port.unshift(Buffer.alloc(2000));
        port.read(1500);
        port.unshift(Buffer.alloc(1500));
        bytes += chunk.length;
        port.on('data', (more: Buffer) => (bytes += more.length));
        setImmediate(() => port.resume());
      });
      await once(port, 'end');
      // the first listener has seen the first chunk, and the second what was read out of turn
      expect(bytes).to.be.within(1_000_000 + 2000, 1_000_000 + 2000 + 1500);
    });
  });

  describe('is told the truth by its callbacks:', () => {
    it('a write that destroy(error) cut calls back with that error, and one that destroy() cut with one of Node’s code', async () => {
      for (const error of [new Error('enough'), undefined]) {
        const port = new PortDuplex('sleep', ['30']).on('error', () => undefined);
        await once(port, 'spawn');
        const calls = ['first', 'second', 'end'].map(
          (which) =>
            new Promise<Error | null | undefined>((resolve) => {
              if (which === 'end') port.end(resolve as () => void);
              else port.write(Buffer.alloc(1_000_000), resolve);
            }),
        );
        port.destroy(error);
        for (const result of await Promise.all(calls)) {
          if (error) expect(result).to.equal(error);
          else expect(result).to.include({ code: 'ERR_STREAM_DESTROYED' });
        }
        await closed(port);
      }
    });

    it('a write to a port that never spawned calls back with an error', async () => {
      const missing = new PortDuplex('no-such-program').on('error', () => undefined);
      const failure = await new Promise((resolve) => missing.write('x', resolve));
      expect(failure).to.be.instanceOf(SpawnError);
      const left = new PortDuplex('cat');
      const call = new Promise((resolve) => left.write('x', resolve));
      left.destroy();
      expect(await call).to.include({ code: 'ERR_STREAM_DESTROYED' });
      await Promise.all([closed(missing), closed(left)]);
    });

    it('each is called, also those of an end in the tick of the destruction, and after the close', async () => {
      const port = new PortDuplex('cat');
      const codes: (string | undefined)[] = [];
      const note = (error?: Error | null): void => void codes.push((error as NodeJS.ErrnoException | undefined)?.code);
      port.end(note);
      port.destroy();
      await closed(port);
      port.end(note);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      expect(codes).to.deep.equal(['ERR_STREAM_DESTROYED', 'ERR_STREAM_DESTROYED']);
    });

    it('a write that was half done when the program ended is dropped, and its bytes are counted so', async () => {
      // a descendant that holds stdin keeps the system from saying so itself
      const port = new PortDuplex(...sh('sleep 0.3 <&0 >&- 2>&- & exit 0')).resume();
      const drops: (number | undefined)[] = [];
      port.on('inputclosed', (bytes) => drops.push(bytes));
      port.end(Buffer.alloc(1_000_000));
      await closed(port);
      expect([port.bytesWritten, port.bytesDropped, drops]).to.deep.equal([0, 1_000_000, [1_000_000]]);
    });
  });

  it('knows the arguments of its events by their types', async () => {
    const port = new PortDuplex('true').resume();
    port.on('spawn', (...args) => expectTypeOf(args).toEqualTypeOf<[]>());
    port.once('exit', (exitCode, signal) => {
      expectTypeOf(exitCode).toEqualTypeOf<number | null>();
      expectTypeOf(signal).toEqualTypeOf<NodeJS.Signals | null>();
    });
    port.on('inputclosed', (bytes) => expectTypeOf(bytes).toEqualTypeOf<number | undefined>());
    port.prependListener('outputclosed', (...args) => expectTypeOf(args).toEqualTypeOf<[]>());
    port.off('error', (error) => expectTypeOf(error).toEqualTypeOf<Error>());
    port.on('an event of their own', (...args) => expectTypeOf(args).toEqualTypeOf<any[]>()); // eslint-disable-line @typescript-eslint/no-explicit-any
    expectTypeOf(port.emit('exit', 0, null)).toBeBoolean();
    expectTypeOf(port).toExtend<import('node:stream').Duplex>();
    await closed(port);
    const sink = new CountingSink();
    await pipeline(new PortDuplex('true'), sink);
  });

  it('is given bytes that come after the reader has asked once, and then the failure', async () => {
    const port = new PortDuplex(...sh('head -c 100000 /dev/zero; exit 3'), { stdin: 'ignore' });
    const failure = once(port, 'error') as Promise<[Error]>;
    await once(port, 'spawn');
    // no listener says that somebody reads: only that it has asked
    let bytes = (port.read() as Buffer | null)?.length ?? 0;
    await once(port, 'exit');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(port.destroyed).to.equal(false);
    while (!port.destroyed) {
      bytes += (port.read() as Buffer | null)?.length ?? 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await failure)[0]).to.include({ exitCode: 3 });
    expect(bytes).to.equal(100_000);
    await closed(port);
  });

  it('is told the last words of a program that fails, though they come after its exit', async () => {
    const port = new PortDuplex(...sh('(sleep 0.1; echo late >&2) & exit 3'), { orphanGraceMs: 1000 });
    const [error] = (await once(port, 'error')) as [Error];
    expect(error).to.include({ stderrTail: 'late\n' });
    await closed(port);
  });
});
