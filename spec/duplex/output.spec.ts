import { expect } from 'chai';
import { once } from 'node:events';
import { Duplex, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { ExitError, PortDuplex } from '../../lib';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, rejection, sh, zeros } from '../support/streams';
import { repeat, stressed } from '../support/stress';

const TOTAL = 600_000;
const FAILING = `cat >/dev/null; head -c ${TOTAL} /dev/zero; echo bad news >&2; exit 3`;

/** Reads with pauses, so that the child is long dead when the last bytes are taken. */
const readers: Record<string, (port: Readable, count: (bytes: number) => void) => Promise<void>> = {
  'for await': async (port, count) => {
    for await (const chunk of port) {
      count((chunk as Buffer).length);
      await turn(5);
    }
  },
  'data with pause': async (port, count) => {
    port.on('data', (chunk: Buffer) => {
      count(chunk.length);
      port.pause();
      setTimeout(() => port.resume(), 5);
    });
    await finished(port, { writable: false });
  },
  'read()': async (port, count) => {
    port.on('readable', () => {
      const take = (): void => {
        const chunk = (port.read(10_000) ?? port.read()) as Buffer | null;
        if (chunk === null) return;
        count(chunk.length);
        setTimeout(take, 1);
      };
      take();
    });
    await finished(port, { writable: false });
  },
  'read() now and then, without a listener': async (port, count) => {
    let isOver = false;
    const over = finished(port, { writable: false }).finally(() => (isOver = true));
    over.catch(() => undefined);
    while (!isOver) {
      count(((port.read() ?? '') as Buffer | '').length);
      await turn(1);
    }
    await over;
  },
  'a slow sink under pipe': async (port, count) => {
    const sink = new CountingSink(5);
    port.pipe(sink);
    await finished(port, { writable: false }).finally(async () => {
      sink.end();
      await finished(sink);
      count(sink.bytes);
    });
  },
};

describe('PortDuplex: the output side', () => {
  const itWaits = sideBySide();

  for (const [form, read] of Object.entries(readers)) {
    itWaits(`gives every byte before the failure to a slow reader: ${form}`, async () => {
      const port = new PortDuplex(...sh(FAILING));
      port.end('input');
      let bytes = 0;
      const error = await rejection(read(port, (count) => (bytes += count)));
      expect(bytes).to.equal(TOTAL);
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3, stderrTail: 'bad news\n' });
      await closed(port);
    });
  }

  itWaits('gives every byte to a reader that comes 400 ms after the exit', async () => {
    const run = async (total: number): Promise<void> => {
      const port = new PortDuplex('head', ['-c', String(total), '/dev/zero']);
      port.end();
      // A megabyte keeps the child from exiting: the kernel does not take it all.
      if (total < 1_000_000) await once(port, 'exit');
      await turn(400);
      expect(await buffer(port)).to.have.lengthOf(total);
      await closed(port);
    };
    await Promise.all([1000, 60_000, 1_000_000].map(run));
  });

  itWaits('ends when stdout is complete and the status is known, however slow the reader', async () => {
    const port = new PortDuplex('head', ['-c', '1000000', '/dev/zero'], { stdin: 'ignore' });
    let bytes = 0;
    for await (const chunk of port) {
      bytes += (chunk as Buffer).length;
      await turn(5);
    }
    expect(bytes).to.equal(1_000_000);
    expect(port.exitCode).to.equal(0);
  });

  it('delivers ten thousand short writes to a reader with a narrow window, complete and in order', async () => {
    const port = new PortDuplex(...sh('seq 1 10000'), { highWaterMark: 63 });
    expect(await text(port)).to.equal(Array.from({ length: 10_000 }, (_, index) => `${index + 1}\n`).join(''));
  });

  itWaits('calls any status outside successCodes, and any signal that is not our own, an error', async () => {
    for (const code of stressed([1, 3, 5, 10, 17, 127, 255], [1, 255])) {
      const error = await rejection(pipeline(new PortDuplex(...sh(`echo out; exit ${code}`)), new CountingSink()));
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: code, signal: null });
      expect(error.message).to.match(new RegExp(`^sh exited with code ${code} after \\d+ ms$`));
    }
    for (const signal of stressed(['SIGTERM', 'SIGKILL', 'SIGSEGV'], ['SIGTERM', 'SIGSEGV'])) {
      const port = new PortDuplex(...sh(`echo out; ulimit -c 0; kill -${signal.slice(3)} $$`));
      const error = await rejection(pipeline(port, new CountingSink()));
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: null, signal });
      expect(error.message).to.match(new RegExp(`^sh was ended by ${signal} after \\d+ ms$`));
    }
  });

  it('takes other exit codes for a success where successCodes says so, and then 0 is none', async () => {
    await pipeline('no match', new PortDuplex('grep', ['x'], { successCodes: [0, 1] }), new CountingSink());
    const error = await rejection(pipeline('', new PortDuplex('true', { successCodes: [1] }), new CountingSink()));
    expect(error).to.include({ exitCode: 0 });
  });

  it('calls a kill from outside, and one by kill(), the failure that it is', async () => {
    const port = new PortDuplex('cat');
    const outcome = rejection(pipeline(port, new CountingSink()));
    await once(port, 'spawn');
    process.kill(port.pid as number, 'SIGKILL');
    expect(await outcome).to.include({ signal: 'SIGKILL' });
    const other = new PortDuplex('cat');
    const otherOutcome = rejection(pipeline(other, new CountingSink()));
    await once(other, 'spawn');
    expect(other.kill('SIGINT')).to.equal(true);
    expect(await otherOutcome).to.include({ signal: 'SIGINT' });
    expect(other.kill()).to.equal(false);
    expect(other.signalCode).to.equal('SIGINT');
  });

  const failures = stressed(60, 4);
  it(`raises a failure at once where nobody reads, however the output and the exit meet, ${failures} times`, async () => {
    const run = async (): Promise<void> => {
      const port = new PortDuplex(...sh(FAILING.replace(String(TOTAL), '1000')));
      port.end();
      const [error] = (await once(port, 'error')) as [Error];
      expect(error).to.include({ exitCode: 3 });
      await closed(port);
    };
    await repeat(failures, 10, run);
  });

  itWaits('does not end before the status is known when stdout is closed long before the exit', async () => {
    const port = new PortDuplex(...sh('echo hi; exec 1>&-; sleep 0.3; exit 5'));
    let hasEnded = false;
    let wasClosedEarly = false;
    port.on('end', () => (hasEnded = true));
    port.on('outputclosed', () => (wasClosedEarly = port.exitCode === null));
    const output: string[] = [];
    port.on('data', (chunk: Buffer) => output.push(String(chunk)));
    const error = await rejection(finished(port));
    expect(error).to.include({ exitCode: 5 });
    expect(output.join('')).to.equal('hi\n');
    expect(hasEnded).to.equal(false);
    expect(wasClosedEarly).to.equal(true);
  });

  it('is never slowed by 10 MB on a stderr that nobody reads, and keeps only the tail', async () => {
    const port = new PortDuplex(...sh('head -c 10000000 /dev/zero >&2; echo done; exit 1'), { stderrTailBytes: 1000 });
    const output: string[] = [];
    port.on('data', (chunk: Buffer) => output.push(String(chunk)));
    const error = (await rejection(finished(port, { writable: false }))) as ExitError;
    expect(output.join('')).to.equal('done\n');
    expect(Buffer.byteLength(error.stderrTail)).to.equal(1000);
    expect(Buffer.byteLength(error.message)).to.be.below(8192);
  });

  it('passes all byte values both ways, unchanged', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const port = new PortDuplex('cat');
    port.end(all);
    expect(await buffer(port)).to.deep.equal(all);
  });

  it('counts the bytes both ways, as a socket does', async () => {
    const port = new PortDuplex(...sh('head -c 1000; cat >/dev/null'));
    await pipeline(zeros(300_000), port, new CountingSink());
    expect(port.bytesWritten).to.equal(300_000);
    expect(port.bytesRead).to.equal(1000);
    expect(port.bytesDropped).to.equal(0);
  });

  itWaits('works with setEncoding, cutting no character', async () => {
    const port = new PortDuplex(...sh('printf "h\\303"; sleep 0.05; printf "\\251\\n"'), { stdin: 'ignore' });
    port.setEncoding('utf8');
    const chunks: string[] = [];
    for await (const chunk of port) chunks.push(chunk as string);
    expect(chunks.join('')).to.equal('hé\n');
  });

  itWaits('stays in bounded memory when an endless child meets a reader that stops', async () => {
    const port = new PortDuplex('yes');
    port.once('data', () => port.pause());
    await once(port, 'data');
    await turn(200);
    expect(port.readableLength).to.be.at.most(port.readableHighWaterMark + 65_536);
    expect(port.bytesRead).to.be.below(1_000_000);
    port.destroy();
    await closed(port);
  });

  it("becomes a pair of web streams by Node's own Duplex.toWeb", async () => {
    const { readable, writable } = Duplex.toWeb(new PortDuplex('sort'));
    const writer = writable.getWriter();
    const written = writer.write(Buffer.from('b\na\n')).then(() => writer.close());
    const output = await text(readable);
    await written;
    expect(output).to.equal('a\nb\n');
  });

  it('rejects the readers of its web streams with the failure', async () => {
    const { readable, writable } = Duplex.toWeb(new PortDuplex(...sh('cat; exit 3')));
    const writer = writable.getWriter();
    const closing = writer.close().catch((error: unknown) => error);
    const error = await rejection(text(readable));
    expect(error).to.include({ exitCode: 3 });
    await closing;
  });
});

function turn(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
