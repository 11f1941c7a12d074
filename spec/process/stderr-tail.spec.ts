import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { expect } from 'chai';
import fc from 'fast-check';
import { StderrTail } from '../../lib/process/stderr-tail';
import { stressed } from '../support/stress';

/** A tail that has seen the chunks, as they come out of a pipe. */
async function tailOf(limitBytes: number, chunks: readonly (string | Uint8Array)[]): Promise<StderrTail> {
  const source = new PassThrough();
  const tail = new StderrTail(limitBytes, 10, () => {});
  tail.attach(source);
  for (const chunk of chunks) source.write(chunk);
  source.end();
  await once(source, 'close');
  return tail;
}

/** Writes, and waits until it has come through. */
async function say(source: PassThrough, words: string | Uint8Array, event = 'data'): Promise<void> {
  const come = once(source, event);
  source.write(words);
  await come;
}

/** The same without a ring: what the last bytes are, and where they may be cut. */
function lastLines(all: Buffer, limitBytes: number): string {
  if (limitBytes === 0) return '';
  if (all.length <= limitBytes) return all.toString();
  const start = all.length - limitBytes;
  const border = all.indexOf('\n', start - 1);
  const lines = all.subarray(border + 1).toString();
  if (border !== -1 && lines.trim() !== '') return lines;
  let cut = start;
  while (cut < all.length && (all[cut]! & 0b1100_0000) === 0b1000_0000) cut += 1;
  return all.toString('utf8', cut);
}

describe('StderrTail: the last bytes', () => {
  it('are all there is while that is within the limit', async () => {
    expect((await tailOf(10, [])).text()).to.equal('');
    expect((await tailOf(10, ['one\n', 'two'])).text()).to.equal('one\ntwo');
    expect((await tailOf(10, ['one\ntwo\nth'])).text()).to.equal('one\ntwo\nth');
  });

  it('are cut at the border of a line', async () => {
    expect((await tailOf(10, ['one\ntwo\nthr'])).text()).to.equal('two\nthr');
    expect((await tailOf(10, ['one\ntwo\nthree\n'])).text()).to.equal('two\nthree\n');
    expect((await tailOf(6, ['one\ntwo\nthree\n'])).text()).to.equal('three\n');
    expect((await tailOf(5, ['one\ntwo\nthree\n'])).text()).to.equal('hree\n');
  });

  it('are cut within a line where they have no other', async () => {
    expect((await tailOf(4, ['x'.repeat(10)])).text()).to.equal('xxxx');
    expect((await tailOf(4, ['x'.repeat(10), '\n'])).text()).to.equal('xxx\n');
    expect((await tailOf(4, ['x'.repeat(10), '\n\n'])).text()).to.equal('xx\n\n');
  });

  it('are not cut within a character', async () => {
    for (const limit of [4, 5, 6, 7])
      expect((await tailOf(limit, ['aü€😀'])).text()).to.equal(limit < 7 ? '😀' : '€😀');
  });

  it('are none where none are asked for', async () => {
    expect((await tailOf(0, ['one\n', 'x'.repeat(1000)])).text()).to.equal('');
  });

  it('are right at every boundary, however the bytes come', async () => {
    const byte = fc.oneof(fc.constantFrom(10, 97, 98), fc.integer({ min: 0, max: 255 }));
    const chunk = fc.array(byte, { maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    const chunks = fc.array(chunk, { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), chunks, async (limitBytes, parts) => {
        const tail = await tailOf(limitBytes, parts);
        expect(tail.text()).to.equal(lastLines(Buffer.concat(parts), limitBytes));
      }),
      { numRuns: stressed(500, 80) },
    );
  });

  it('can be asked for at any time', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(8, 10, () => {});
    expect(tail.text()).to.equal('');
    tail.attach(source);
    for (const [said, expected] of [
      ['one\n', 'one\n'],
      ['two\n', 'one\ntwo\n'],
      ['three\n', 'three\n'],
    ] as const) {
      await say(source, said);
      expect(tail.text()).to.equal(expected);
    }
    tail.release();
    expect(tail.text()).to.equal('three\n');
  });
});

describe('StderrTail: the draining', () => {
  it('never blocks a child that says 10 MB which nobody reads', async () => {
    const child = spawn('sh', ['-c', 'head -c 10000000 /dev/zero >&2; echo last >&2'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(child.stderr);
    await once(child, 'close');
    expect(tail.text()).to.equal(`${'\0'.repeat(95)}last\n`);
  });

  it('is done once, when the pipe is closed', async () => {
    let times = 0;
    const source = new PassThrough();
    const tail = new StderrTail(100, 1000, () => (times += 1));
    tail.attach(source);
    source.end('words');
    expect(tail.isDone).to.be.false;
    await once(source, 'close');
    expect(tail.isDone).to.be.true;
    tail.exited();
    tail.release();
    expect(times).to.equal(1);
  });

  it('is done at once where there is no pipe', () => {
    let times = 0;
    const tail = new StderrTail(100, 1000, () => (times += 1));
    tail.attach(null);
    expect([tail.isDone, times]).to.deep.equal([true, 1]);
  });

  it('is done a while after the exit though a descendant holds the pipe, with what came until then', async () => {
    const child = spawn('sh', ['-c', 'echo words >&2; sleep 30 & echo $!'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const descendant = once(child.stdout, 'data').then(Number);
    const tail = await new Promise<StderrTail>((resolve) => {
      const waiting = new StderrTail(100, 50, () => resolve(waiting));
      waiting.attach(child.stderr);
      child.once('exit', () => waiting.exited());
    });
    expect(tail.text()).to.equal('words\n');
    tail.release();
    process.kill(await descendant);
    await once(child, 'close');
  });

  it('then still drains the pipe, until it is left: what a descendant prints must not end it', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 10, () => {});
    tail.attach(source);
    const said = text(tail.stream);
    await say(source, 'words');
    tail.exited();
    expect(await said).to.equal('words');
    await say(source, 'late words');
    expect([tail.text(), source.destroyed]).to.deep.equal(['words', false]);
    tail.leave();
    expect(source.destroyed).to.be.true;
  });

  it('lets go of the pipe by itself when it was left before', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 10, () => {});
    tail.attach(source);
    tail.leave();
    tail.exited();
    const awake = setInterval(() => {}, 1000);
    await once(source, 'close').finally(() => clearInterval(awake));
    expect(tail.isDone).to.be.true;
  });

  it('survives a failure of the pipe', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(source);
    await say(source, 'words');
    source.destroy(new Error('EIO'));
    await new Promise((resolve) => source.once('close', resolve));
    expect([tail.isDone, tail.text()]).to.deep.equal([true, 'words']);
  });
});

describe('StderrTail: the stream', () => {
  const bytes = Buffer.alloc(300_000, 'words\n');

  /** Writes with back-pressure, as a pipe does, and ends. */
  function filled(): PassThrough {
    const source = new PassThrough();
    source.end(bytes);
    return source;
  }

  it('is complete when it is read, asked for before there is a pipe', async () => {
    const tail = new StderrTail(100, 1000, () => {});
    const all = buffer(tail.stream);
    tail.attach(filled());
    expect((await all).equals(bytes)).to.be.true;
  });

  it('is complete when it is read, asked for after', async () => {
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(filled());
    expect((await buffer(tail.stream)).equals(bytes)).to.be.true;
  });

  it('has what comes from its first asking on, and is the same at each', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(source);
    await say(source, 'one\n');
    const said = text(tail.stream);
    expect(tail.stream).to.equal(tail.stream);
    source.end('two\n');
    expect(await said).to.equal('two\n');
    expect(tail.text()).to.equal('one\ntwo\n');
  });

  it('ends at once where there is nothing more', async () => {
    const tail = await tailOf(100, ['words']);
    expect(await text(tail.stream)).to.equal('');
  });

  it('ends with what it has when it is let go', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(source);
    const { stream } = tail;
    await say(source, 'words');
    tail.release();
    expect(await text(stream)).to.equal('words');
    expect(source.destroyed).to.be.true;
  });

  it('holds the pipe back while it is not read, until it is read', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(100, 1000, () => {});
    tail.attach(source);
    const { stream } = tail;
    await say(source, Buffer.alloc(100_000), 'pause');
    const resumed = once(source, 'resume');
    const all = buffer(stream);
    await resumed;
    source.end();
    expect(await all).to.have.lengthOf(100_000);
  });

  it('lets the pipe go on when it is destroyed, and the tail with it', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(6, 1000, () => {});
    tail.attach(source);
    const { stream } = tail;
    await say(source, Buffer.alloc(100_000), 'pause');
    stream.destroy();
    source.end('words\n');
    await once(source, 'close');
    expect(tail.text()).to.equal('words\n');
  });

  it('holds nothing back once the child is gone: what the kernel has is taken', async () => {
    const source = new PassThrough();
    const tail = new StderrTail(6, 1000, () => {});
    tail.attach(source);
    const { stream } = tail;
    await say(source, Buffer.alloc(100_000), 'pause');
    for (let count = 0; count < 5; count += 1) source.write(Buffer.alloc(1000));
    source.end('words\n');
    tail.exited();
    await once(source, 'close');
    expect(tail.text()).to.equal('words\n');
    expect(await buffer(stream)).to.have.lengthOf(105_006);
  });
});
