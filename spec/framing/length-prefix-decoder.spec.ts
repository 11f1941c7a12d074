import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { Duplex, Readable, Writable } from 'node:stream';
import stream = require('node:stream');
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { collectGarbage } from '../support/memory';
import { cutEvery, frames, pattern, texts } from '../support/frames';
import { thrownToProcess } from '../support/thrown';
import { stressed } from '../support/stress';

// The declarations for Node 20 leave it out.
const { compose } = stream as unknown as { compose(this: void, ...streams: Duplex[]): Duplex };

const KIB = 1024;
const MIB = 1024 * KIB;
const TRUNCATED = 'ERR_REXPORT_FRAME_TRUNCATED';
const TOO_LARGE = 'ERR_REXPORT_MESSAGE_TOO_LARGE';

describe('LengthPrefixDecoder', () => {
  describe('messages stay apart', () => {
    const messages = ['one', '', 'two', '', '', 'three'];
    const decoder = () => fed(cutEvery(frames(messages), 5));

    const readers: Record<string, () => Promise<Buffer[]>> = {
      'for await': async () => {
        const seen: Buffer[] = [];
        for await (const message of decoder()) seen.push(message as Buffer);
        return seen;
      },
      data: async () => {
        const [seen, source] = [[] as Buffer[], decoder()];
        source.on('data', (message: Buffer) => seen.push(message));
        await once(source, 'end');
        return seen;
      },
      'readable and read()': async () => {
        const [seen, source] = [[] as Buffer[], decoder()];
        source.on('readable', () => {
          for (let message = take(source); message !== null; message = take(source)) seen.push(message);
        });
        await once(source, 'end');
        return seen;
      },
      'pipe to an object-mode sink': async () => {
        const sink = new SlowSink();
        decoder().pipe(sink);
        await once(sink, 'finish');
        return sink.seen;
      },
      'Readable.toWeb': async () => {
        const seen: Buffer[] = [];
        // Node's adapter asks for its own classes by duck type, which readable-stream's are.
        for await (const message of Readable.toWeb(decoder()) as AsyncIterable<Buffer>) seen.push(message);
        return seen;
      },
      'stream.compose': async () => {
        const composed = compose(new LengthPrefixEncoder(), new LengthPrefixDecoder());
        for (const message of messages) composed.write(message);
        composed.end();
        return (await composed.toArray()) as Buffer[];
      },
    };
    for (const [name, read] of Object.entries(readers)) {
      it(`for ${name}`, async () => {
        expect(texts(await read())).to.deep.equal(messages);
      });
    }
  });

  describe('end', () => {
    it('ends without an error after a whole frame, or with no bytes at all', async () => {
      expect(await outcome(fed([]))).to.deep.equal([]);
      expect(await outcome(fed([frames(['whole'])]))).to.deep.equal(['whole']);
    });

    it('raises the truncation error after 1 to 3 header bytes, after the header, and in mid-body', async () => {
      for (const bytes of [1, 2, 3, 4, 5, 8]) {
        expect(await outcome(fed([frames(['abcde']).subarray(0, bytes)]))).to.deep.equal([TRUNCATED]);
      }
    });
  });

  describe('messages before the error', () => {
    const whole = Array.from({ length: stressed(600, 300) }, (_, i) => `message ${i}`);
    const ends: Record<string, { readonly bytes: Buffer; readonly code: string; readonly options?: object }> = {
      'a truncation': { bytes: Buffer.of(0, 0), code: TRUNCATED },
      'an oversize': { bytes: Buffer.alloc(4, 0xff), code: TOO_LARGE },
      'a bad header': {
        bytes: Buffer.alloc(4),
        code: 'ERR_REXPORT_BAD_LENGTH',
        options: { prefix: 4, lengthIncludesPrefix: true },
      },
    };
    for (const [what, { bytes, code, options }] of Object.entries(ends)) {
      const chunk = Buffer.concat([frames(whole, options), bytes]);
      const failing = () => fed([chunk], options);

      it(`all reach a slow for await consumer before ${what}`, async () => {
        expect(await outcome(failing(), () => turn())).to.deep.equal([...whole, code]);
      });

      it(`all reach a slow pipeline stage before ${what}, which gets to finish with the last one`, async () => {
        const seen: string[] = [];
        const error = await pipeline(failing(), async (source: AsyncIterable<Buffer>) => {
          for await (const message of source) {
            await turn();
            await turn();
            seen.push(String(message));
          }
        }).catch((reason: unknown) => reason);
        expect(error).to.include({ code });
        expect(seen).to.deep.equal(whole);
      });

      it(`all reach read() before ${what}, which comes when it asks for more after the last one`, async () => {
        const decoder = failing();
        const errors: unknown[] = [];
        decoder.on('error', (error) => errors.push(error));
        const seen: string[] = [];
        while (seen.length < whole.length) {
          const message = take(decoder);
          if (message === null) await once(decoder, 'readable');
          else seen.push(String(message));
        }
        for (let i = 0; i < 5; i++) await turn();
        expect(errors).to.deep.equal([]);
        expect(decoder.read()).to.equal(null);
        await new Promise((resolve) => decoder.once('close', resolve));
        expect(errors).to.have.length(1);
        expect(errors[0]).to.include({ code });
        expect(seen).to.deep.equal(whole);
      });

      it(`all reach a data listener that pauses before ${what}`, async () => {
        const decoder = failing();
        const seen: string[] = [];
        decoder.on('data', (message: Buffer) => {
          seen.push(String(message));
          decoder.pause();
          setImmediate(() => decoder.resume());
        });
        const [error] = (await once(decoder, 'error')) as unknown[];
        expect(error).to.include({ code });
        expect(seen).to.deep.equal(whole);
      });

      it(`all reach a slow sink of pipe before ${what}`, async () => {
        const decoder = failing();
        const sink = decoder.pipe(new SlowSink());
        const [error] = (await once(decoder, 'error')) as unknown[];
        expect(error).to.include({ code });
        sink.end();
        await once(sink, 'finish');
        expect(texts(sink.seen)).to.deep.equal(whole);
      });
    }

    it('the error comes at once for a for await that already waits', async () => {
      const decoder = new LengthPrefixDecoder();
      const seen = outcome(decoder);
      decoder.write(frames(['first']));
      await turn();
      decoder.write(Buffer.alloc(4, 0xff));
      expect(await seen).to.deep.equal(['first', TOO_LARGE]);
    });

    it('the error comes to a reader that took the last message and waits for the readable event', async () => {
      const decoder = new LengthPrefixDecoder();
      const seen: unknown[] = [];
      decoder.on('readable', () => seen.push(take(decoder)));
      const raised = new Promise((resolve) => decoder.once('error', resolve));
      decoder.write(frames(['last']));
      await once(decoder, 'readable');
      decoder.write(Buffer.alloc(4, 0xff));
      expect(await raised).to.include({ code: TOO_LARGE });
      expect(seen.map(String)).to.deep.equal(['last', 'null']);
    });

    it('the error comes at once when nobody was given anything', async () => {
      const decoder = new LengthPrefixDecoder();
      decoder.write(Buffer.alloc(4, 0xff));
      expect((await once(decoder, 'error'))[0]).to.include({ code: TOO_LARGE });
    });

    it('the write that brings the error is told so', async () => {
      const decoder = new LengthPrefixDecoder();
      decoder.on('error', () => undefined);
      const told = await new Promise((resolve) => decoder.write(Buffer.alloc(4, 0xff), resolve));
      expect(told).to.include({ code: TOO_LARGE });
    });
  });

  describe('destroy', () => {
    it('inside a data listener stops the loop: no more messages, remaining frames not parsed', async () => {
      const decoder = new LengthPrefixDecoder();
      const seen: string[] = [];
      decoder.on('data', (message: Buffer) => {
        seen.push(String(message));
        if (seen.length === 2) decoder.destroy();
      });
      decoder.on('error', (error) => seen.push(error.message));
      decoder.write(Buffer.concat([frames(['a', 'b', 'c']), Buffer.alloc(4, 0xff)]));
      await once(decoder, 'close');
      expect(seen).to.deep.equal(['a', 'b']);
    });

    for (const [where, bytes] of [
      ['mid-header', 2],
      ['mid-body', 4 + 900 * KIB],
    ] as const) {
      it(`${where} releases the partial buffer and emits no message afterwards`, async () => {
        const decoder = new LengthPrefixDecoder();
        const seen: unknown[] = [];
        decoder.on('data', (message) => seen.push(message));
        const held = new WeakSetOfBuffers();
        held.watch(() => decoder.write(held.add(frames([pattern(MIB)]).subarray(0, bytes))));
        await turn();
        decoder.destroy();
        decoder.write(Buffer.alloc(MIB));
        await once(decoder, 'close');
        for (let i = 0; i < 10 && held.alive > 0; i++) await collectGarbage();
        expect(held.alive).to.equal(0);
        expect(seen).to.deep.equal([]);
        expect(decoder.destroyed).to.equal(true);
      });
    }

    it('by break out of for await reaches the source under pipeline', async () => {
      const source = Readable.from(cutEvery(frames(Array(1000).fill('x')), 10));
      const decoder = new LengthPrefixDecoder();
      await pipeline(source, decoder, async (messages: AsyncIterable<Buffer>) => {
        for await (const message of messages) {
          expect(String(message)).to.equal('x');
          break;
        }
      }).catch((error: unknown) => {
        // Which of the two depends on the Node version.
        expect(error).to.have.property('code').that.is.oneOf(['ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR']);
      });
      expect(decoder.destroyed).to.equal(true);
      expect(source.destroyed).to.equal(true);
    });

    it('by an aborted signal in mid-frame gives AbortError', async () => {
      const controller = new AbortController();
      const decoder = new LengthPrefixDecoder({ signal: controller.signal });
      decoder.write(frames(['cut off']).subarray(0, 6));
      const raised = once(decoder, 'error');
      controller.abort('the reason');
      expect((await raised)[0]).to.include({ name: 'AbortError', code: 'ABORT_ERR', cause: 'the reason' });
    });

    it('calls the callback of the chunk that was still being handed out', async () => {
      const decoder = new LengthPrefixDecoder();
      const told = new Promise((resolve) => decoder.write(frames(Array(1000).fill('x')), resolve));
      await turn();
      decoder.destroy();
      await told;
    });
  });

  describe('back-pressure', () => {
    const empty = stressed(16_384, 4096);
    it(`delivers ${empty} empty frames of one chunk with the queue never above highWaterMark`, async () => {
      const decoder = fed([Buffer.alloc(4 * empty)]);
      let delivered = 0;
      let longest = 0;
      for (;;) {
        longest = Math.max(longest, decoder.readableLength);
        const message = take(decoder);
        if (message !== null) delivered++;
        else if (decoder.readableEnded) break;
        else await Promise.race([once(decoder, 'readable'), once(decoder, 'end')]);
      }
      expect(longest).to.be.at.most(256);
      expect(delivered).to.equal(empty);
    });

    it('stops in mid-chunk when 1 MiB waits, and goes on when the reader has taken some', async () => {
      const one = pattern(100 * KIB);
      const decoder = fed([frames(Array<Buffer>(40).fill(one))]);
      await turn();
      expect(decoder.readableLength).to.equal(11);
      const seen: Buffer[] = [];
      for await (const message of decoder) {
        seen.push(message as Buffer);
        expect(decoder.readableLength).to.be.at.most(11);
      }
      expect(seen).to.have.length(40);
      expect(seen.every((message) => message.equals(one))).to.equal(true);
    });

    it('hands on messages that are each larger than what may wait', async () => {
      const messages = [1, 2, 3].map((i) => pattern(stressed(3 * MIB, MIB + i)));
      const decoder = fed(cutEvery(frames(messages), 64 * KIB));
      let seen = 0;
      for await (const message of decoder) {
        expect(messages[seen++]?.equals(message as Buffer)).to.equal(true);
        await turn();
      }
      expect(seen).to.equal(3);
    });

    it('bounds queued messages and pauses the source for a slow object-mode sink', async () => {
      const chunk = frames(Array(1000).fill('0123456789'));
      let chunks = 0;
      const source = new Readable({
        read() {
          this.push(chunks++ < 1000 ? chunk : null);
        },
      });
      const decoder = source.pipe(new LengthPrefixDecoder());
      const sink = new SlowSink();
      decoder.pipe(sink);
      while (sink.seen.length < stressed(1000, 400)) {
        expect(decoder.readableLength).to.be.at.most(256);
        await turn();
      }
      expect(chunks * chunk.length).to.be.below(MIB);
      source.destroy();
      decoder.destroy();
    });

    it('gives everything to a listener that pauses after every message', async () => {
      const decoder = fed(cutEvery(frames(Array.from({ length: 500 }, (_, i) => `${i}`)), 100));
      const seen: number[] = [];
      decoder.on('data', (message: Buffer) => {
        seen.push(Number(message));
        decoder.pause();
        process.nextTick(() => decoder.resume());
      });
      await once(decoder, 'end');
      expect(seen).to.deep.equal(Array.from({ length: 500 }, (_, i) => i));
    });

    it('keeps what comes after a listener that took itself off in mid-chunk for the next one', async () => {
      const decoder = new LengthPrefixDecoder();
      const seen: string[] = [];
      const note = (message: Buffer): void => void seen.push(String(message));
      decoder.on('data', function first(message: Buffer) {
        note(message);
        if (seen.length === 2) decoder.off('data', first);
      });
      decoder.write(frames(['a', 'b', 'c', 'd']));
      expect(seen).to.deep.equal(['a', 'b']);
      decoder.on('data', note).end(frames(['e']));
      await once(decoder, 'end');
      expect(seen).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    });

    it('gives everything to a listener that reads and resumes inside its call', async () => {
      const decoder = fed(cutEvery(frames(Array.from({ length: 2000 }, (_, i) => `${i}`)), 1000), { highWaterMark: 3 });
      const seen: number[] = [];
      decoder.on('data', (message: Buffer) => {
        seen.push(Number(message));
        if (seen.length % 3 === 0) decoder.read();
        if (seen.length % 7 === 0) decoder.pause().resume();
      });
      await once(decoder, 'end');
      expect(seen).to.have.length(2000);
      expect([...seen].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 2000 }, (_, i) => i));
    });
  });

  it('gives one frame over thousands of chunks equal to the original', async () => {
    const [bytes, chunkBytes] = stressed([48 * MIB, 8 * KIB], [MIB, KIB / 2]);
    const message = pattern(bytes);
    const [got] = (await fed(cutEvery(frames([message]), chunkBytes)).toArray()) as [Buffer];
    const hash = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');
    expect(hash(got)).to.equal(hash(message));
  });

  it('leaves a chunk alone after its write callback with copy: true, so that the source may reuse it', async () => {
    const decoder = new LengthPrefixDecoder({ copy: true });
    const messages = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    const reused = Buffer.alloc(37);
    const seen = decoder.toArray();
    for (const piece of cutEvery(frames(messages), 37)) {
      const chunk = reused.subarray(0, piece.length);
      chunk.set(piece);
      await new Promise((resolve) => decoder.write(chunk, resolve));
      reused.fill(0xff);
    }
    decoder.end();
    expect(texts((await seen) as Buffer[])).to.deep.equal(messages);
  });

  it('a listener that throws is uncaught, and takes no message from the next and no callback from the writer', async () => {
    const decoder = new LengthPrefixDecoder();
    const seen: string[] = [];
    decoder.on('data', (message: Buffer) => {
      seen.push(String(message));
      throw new Error(`the listener’s own, at ${String(message)}`);
    });
    let callbacks = 0;
    const thrown = await thrownToProcess(async () => {
      decoder.write(frames(['a', 'b']), () => callbacks++);
      decoder.end(frames(['c']));
      await once(decoder, 'close');
    });
    expect(thrown.map((error) => (error as Error).message)).to.deep.equal(
      ['a', 'b', 'c'].map((message) => `the listener’s own, at ${message}`),
    );
    expect([seen, callbacks]).to.deep.equal([['a', 'b', 'c'], 1]);
  });

  it('has marks of 256 KiB and 256 messages, and takes each mark', () => {
    const marks = (options: LengthPrefixDecoderOptions) => {
      const { readableHighWaterMark, writableHighWaterMark } = new LengthPrefixDecoder(options);
      return [readableHighWaterMark, writableHighWaterMark];
    };
    expect(marks({})).to.deep.equal([256, 256 * KIB]);
    expect(marks({ highWaterMark: 7 })).to.deep.equal([7, 7]);
    expect(marks({ readableHighWaterMark: 7, writableHighWaterMark: 8 })).to.deep.equal([7, 8]);
  });

  it('refuses a claim to copy that is no boolean', () => {
    expect(() => new LengthPrefixDecoder({ copy: 1 as never })).to.throw(
      TypeError,
      '`copy` to be true or false, got 1',
    );
  });
});

/** A decoder that is given all chunks, as fast as it takes them, and then the end. */
function fed(chunks: readonly Buffer[], options?: LengthPrefixDecoderOptions): LengthPrefixDecoder {
  return Readable.from(chunks).pipe(new LengthPrefixDecoder(options));
}

function take(decoder: LengthPrefixDecoder): Buffer | null {
  return decoder.read() as Buffer | null;
}

/** The messages a `for await` sees, then the code of the error if there is one. */
async function outcome(decoder: LengthPrefixDecoder, between?: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  try {
    for await (const message of decoder) {
      await between?.();
      seen.push(String(message));
    }
  } catch (error) {
    seen.push((error as { code: string }).code);
  }
  return seen;
}

/** Buffers that it does not keep alive: what is added, and what is reserved while it watches. */
class WeakSetOfBuffers {
  readonly #refs: WeakRef<Buffer>[] = [];

  get alive(): number {
    return this.#refs.filter((ref) => ref.deref() !== undefined).length;
  }

  add<T extends Buffer>(buffer: T): T {
    this.#refs.push(new WeakRef(buffer));
    return buffer;
  }

  watch(action: () => void): void {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is put back as it was
    const { allocUnsafeSlow } = Buffer;
    Buffer.allocUnsafeSlow = (size) => this.add(allocUnsafeSlow(size));
    try {
      action();
    } finally {
      Buffer.allocUnsafeSlow = allocUnsafeSlow;
    }
  }
}

class SlowSink extends Writable {
  readonly seen: Buffer[] = [];

  constructor() {
    super({ objectMode: true, highWaterMark: 4 });
  }

  override _write(message: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.seen.push(message);
    setImmediate(callback);
  }
}
