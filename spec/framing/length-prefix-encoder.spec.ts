import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from '../../lib/framing/length-prefix-encoder';
import { resizable } from '../support/memory';
import { frames, parse, pattern, texts } from '../support/frames';
import { stressed } from '../support/stress';

const KIB = 1024;

describe('LengthPrefixEncoder', () => {
  describe('one write, one message', () => {
    it('lets the messages of one tick leave in one chunk', async () => {
      const encoder = new LengthPrefixEncoder();
      for (const message of ['a', '', 'bc']) encoder.write(message);
      encoder.end();
      expect(await chunksOf(encoder)).to.deep.equal([frames(['a', '', 'bc'])]);
    });

    it('makes a frame of a zero-length string, Buffer and Uint8Array each', async () => {
      const encoder = new LengthPrefixEncoder();
      for (const message of ['', Buffer.alloc(0), new Uint8Array(0)]) encoder.write(message);
      encoder.end('');
      expect(Buffer.concat(await chunksOf(encoder))).to.deep.equal(Buffer.alloc(16));
    });

    it('takes DataView and Uint16Array, which byte-mode streams refuse, and strings in any encoding', async () => {
      const encoder = new LengthPrefixEncoder();
      encoder.write(new DataView(Buffer.from('view').buffer, 0, 0));
      encoder.write(new Uint16Array([0x6161]));
      encoder.write('6262', 'hex');
      encoder.setDefaultEncoding('base64').write('Y2M=');
      encoder.end('6464', 'hex');
      expect(texts(parse(await chunksOf(encoder)))).to.deep.equal(['', 'aa', 'bb', 'cc', 'dd']);
    });

    it('takes end(callback), end(message, callback) and end(message, encoding, callback)', async () => {
      const ends: ((encoder: LengthPrefixEncoder, callback: () => void) => void)[] = [
        (encoder, callback) => encoder.end(callback),
        (encoder, callback) => encoder.end('6161', callback),
        (encoder, callback) => encoder.end('6161', 'hex', callback),
      ];
      const messages: string[][] = [];
      for (const end of ends) {
        const encoder = new LengthPrefixEncoder();
        const ended = new Promise<void>((resolve) => end(encoder, resolve));
        messages.push(texts(parse(await chunksOf(encoder))));
        await ended;
      }
      expect(messages).to.deep.equal([[], ['6161'], ['aa']]);
    });

    it('keeps the order of small and large messages', async () => {
      const sizes = [1, 100 * KIB, 0, 16 * KIB, 16 * KIB + 1, 2, 70_000, 3];
      const encoder = new LengthPrefixEncoder();
      for (const size of sizes) encoder.write(pattern(size));
      encoder.end();
      expect(parse(await chunksOf(encoder)).map(({ length }) => length)).to.deep.equal(sizes);
    });

    it('batches what an async generator yields', async () => {
      const encoder = new LengthPrefixEncoder();
      const chunks: Buffer[] = [];
      await pipeline(
        async function* () {
          for (let i = 0; i < 1000; i++) yield `message ${i}`;
        },
        encoder,
        async (source: AsyncIterable<Buffer>) => {
          for await (const chunk of source) chunks.push(chunk);
        },
      );
      expect(parse(chunks)).to.have.length(1000);
      expect(chunks.length).to.be.below(50);
    });
  });

  describe('end and destroy', () => {
    it('flushes coalesced bytes before end', async () => {
      const encoder = new LengthPrefixEncoder();
      encoder.write('pending');
      encoder.end();
      expect(texts(parse(await chunksOf(encoder)))).to.deep.equal(['pending']);
      expect(encoder.writableFinished).to.equal(true);
    });

    it('drops coalesced bytes on destroy, and tells their callbacks', async () => {
      const encoder = new LengthPrefixEncoder();
      const chunks: Buffer[] = [];
      encoder.on('data', (chunk: Buffer) => chunks.push(chunk));
      const told = writeAll(encoder, ['a', 'b']);
      encoder.destroy();
      for (const error of await told) expect(error).to.include({ code: 'ERR_STREAM_DESTROYED' });
      expect(chunks).to.deep.equal([]);
      expect(encoder.errored).to.equal(null);
    });

    it('tells the callbacks the error it was destroyed with', async () => {
      const encoder = new LengthPrefixEncoder();
      const error = new Error('enough');
      const told = writeAll(encoder, ['a', 'b']);
      const raised = once(encoder, 'error');
      encoder.destroy(error);
      expect(await told).to.deep.equal([error, error]);
      expect(await raised).to.deep.equal([error]);
    });

    it('calls the callback that a full reader held back when it is destroyed', async () => {
      const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 1 });
      const told = writeAll(encoder, ['held']);
      await new Promise(setImmediate);
      expect(encoder.readableLength).to.equal(8);
      encoder.destroy();
      expect(await told).to.have.length(1);
    });

    it('calls every callback, in order, once the chunk is taken', async () => {
      const encoder = new LengthPrefixEncoder();
      encoder.resume();
      const order: number[] = [];
      await new Promise<void>((resolve) => {
        for (let i = 0; i < 100; i++) encoder.write('x', () => order.push(i) === 100 && resolve());
      });
      expect(order).to.deep.equal(Array.from({ length: 100 }, (_, i) => i));
    });

    it('raises ERR_STREAM_WRITE_AFTER_END for any kind of message', async () => {
      for (const message of ['late', new DataView(new ArrayBuffer(1)), 5 as never]) {
        const encoder = new LengthPrefixEncoder();
        encoder.end();
        const raised = once(encoder, 'error');
        expect(encoder.write(message)).to.equal(false);
        expect((await raised)[0]).to.include({ code: 'ERR_STREAM_WRITE_AFTER_END' });
      }
    });

    it('gives an AbortError for an aborted signal, with the reason as its cause', async () => {
      const controller = new AbortController();
      const encoder = new LengthPrefixEncoder({ signal: controller.signal });
      encoder.write('never sent');
      const raised = once(encoder, 'error');
      controller.abort('the reason');
      expect((await raised)[0]).to.include({ name: 'AbortError', code: 'ABORT_ERR', cause: 'the reason' });
      const late = new LengthPrefixEncoder({ signal: controller.signal });
      expect((await once(late, 'error'))[0]).to.include({ code: 'ABORT_ERR' });
    });
  });

  describe('messages it refuses', () => {
    it('emits zero bytes of a bad message and never corrupts earlier ones', async () => {
      for (const bad of ['too long', 5, undefined, {}]) {
        const encoder = new LengthPrefixEncoder({ maxMessageBytes: 5 });
        const chunks: Buffer[] = [];
        encoder.on('data', (chunk: Buffer) => chunks.push(chunk));
        encoder.write('first');
        await new Promise(setImmediate);
        const raised = once(encoder, 'error');
        encoder.write('same');
        expect(encoder.write(bad as never)).to.equal(false);
        expect((await raised)[0])
          .to.have.property('code')
          .that.matches(/^ERR_REXPORT_(MESSAGE_TOO_LARGE|INVALID_MESSAGE)$/);
        expect(texts(parse(chunks))).to.deep.equal(['first']);
      }
    });

    it('gives the callback of a refused message the error, before the error event', async () => {
      const encoder = new LengthPrefixEncoder();
      const seen: unknown[] = [];
      encoder.on('error', () => seen.push('event'));
      const closed = new Promise((resolve) => encoder.once('close', resolve));
      encoder.write(5 as never, (error) => seen.push((error as Error).name));
      await closed;
      expect(seen).to.deep.equal(['InvalidMessageError', 'event']);
    });

    it('throws ERR_STREAM_NULL_VALUES for null, as Node does', () => {
      expect(() => new LengthPrefixEncoder().write(null as never))
        .to.throw()
        .with.property('code', 'ERR_STREAM_NULL_VALUES');
    });

    it('destroys itself for an unknown encoding', async () => {
      const encoder = new LengthPrefixEncoder();
      const raised = once(encoder, 'error');
      encoder.write('x', 'klingon' as never);
      expect((await raised)[0]).to.include({ code: 'ERR_UNKNOWN_ENCODING' });
    });

    it('rejects the pipeline for a wrong type from an object source, with nothing uncaught', async () => {
      for (const source of [() => Readable.from([Buffer.from('a'), 5, 'b']), () => Readable.from([{}])]) {
        const error = await pipeline(source(), new LengthPrefixEncoder(), new Sink()).catch(
          (reason: unknown) => reason,
        );
        expect(error).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE' });
      }
    });

    it('fails, rather than send a wrong prefix, when a large payload is taken away before it is encoded', async () => {
      const encoder = new LengthPrefixEncoder();
      const message = new Uint8Array(100 * KIB);
      encoder.write(message);
      structuredClone(message, { transfer: [message.buffer] });
      expect(await finished(encoder.resume()).catch((error: unknown) => error)).to.include({
        code: 'ERR_REXPORT_INVALID_MESSAGE',
      });
    });

    it('sends a payload whole whose memory shrinks after write', async () => {
      const memory = resizable(100 * KIB);
      const encoder = new LengthPrefixEncoder();
      encoder.write(new Uint8Array(memory));
      memory.resize(10);
      encoder.end();
      expect(parse(await chunksOf(encoder))[0]).to.have.length(100 * KIB);
    });
  });

  describe('back-pressure', () => {
    it('says false while it is full, counting bytes, also for empty messages', async () => {
      const encoder = new LengthPrefixEncoder({ highWaterMark: 1000 });
      let written = 0;
      while (encoder.write('')) written++;
      expect(written).to.equal(249);
      expect(encoder).to.include({ writableLength: 1000, writableNeedDrain: true });
      const drained = once(encoder, 'drain');
      encoder.resume();
      await drained;
      expect(encoder).to.include({ writableLength: 0, writableNeedDrain: false });
    });

    for (const size of [0, 10, 1000, 50_000]) {
      it(`emits drain after each false, exactly when writableNeedDrain ends, for messages of ${size} bytes`, async () => {
        const encoder = new LengthPrefixEncoder({ highWaterMark: 20_000 });
        encoder.resume();
        for (let round = 0; round < stressed(20, 4); round++) {
          while (encoder.write(Buffer.alloc(size)));
          expect(encoder.writableNeedDrain).to.equal(true);
          await once(encoder, 'drain');
          expect(encoder.writableNeedDrain).to.equal(false);
        }
      });
    }

    it('keeps buffered output near the readable highWaterMark with a paused reader', async () => {
      const encoder = new LengthPrefixEncoder({ readableHighWaterMark: 100_000, writableHighWaterMark: 50_000 });
      let written = 0;
      const source = new Readable({
        objectMode: true,
        read() {
          this.push(Buffer.alloc(1000));
          written += 1004;
        },
      });
      source.pipe(encoder);
      for (let i = 0; i < 20; i++) await new Promise(setImmediate);
      expect(encoder.readableLength).to.be.within(100_000, 170_000);
      expect(encoder.writableLength).to.be.within(50_000, 120_000);
      expect(written).to.be.below(300_000);
      source.unpipe(encoder);
      source.destroy();
      encoder.destroy();
    });

    it('uses fewer than 100 nextTicks for 10,000 writes without callbacks', async () => {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- it is put back as it was
      const { nextTick } = process;
      let ticks = 0;
      const encoder = new LengthPrefixEncoder().resume();
      process.nextTick = function (...args: Parameters<typeof nextTick>) {
        ticks++;
        nextTick(...args);
      };
      try {
        for (let i = 0; i < 10_000; i++) encoder.write('message');
        encoder.end();
        await finished(encoder);
      } finally {
        process.nextTick = nextTick;
      }
      expect(ticks).to.be.below(100);
    });

    it('lets 1,000 corked small messages leave in at most total/64 KiB + 2 chunks', async () => {
      const encoder = new LengthPrefixEncoder();
      encoder.cork();
      for (let i = 0; i < 1000; i++) encoder.write(pattern(200));
      await new Promise(setImmediate);
      expect(encoder.readableLength).to.equal(0);
      encoder.uncork();
      encoder.end();
      const chunks = await chunksOf(encoder);
      expect(parse(chunks)).to.have.length(1000);
      expect(chunks.length).to.be.at.most(204_000 / (64 * KIB) + 2);
    });

    it('lets a flood leave in one chunk for each time that it says stop', async () => {
      const encoder = new LengthPrefixEncoder();
      const chunks: Buffer[] = [];
      encoder.on('data', (chunk: Buffer) => chunks.push(chunk));
      for (let i = 0; i < 2000; i++) if (!encoder.write(pattern(KIB))) await once(encoder, 'drain');
      encoder.end();
      await finished(encoder);
      expect(parse(chunks)).to.have.length(2000);
      // The first batch begins as if it were a trickle; the last one is what was left.
      for (const { length } of chunks.slice(2, -1)) expect(length).to.be.within(128 * KIB, 129 * KIB + 4);
    });

    it('tolerates that its own reader writes to it or destroys it', async () => {
      const encoder = new LengthPrefixEncoder();
      const seen: Buffer[] = [];
      encoder.on('data', (chunk: Buffer) => {
        seen.push(chunk);
        if (seen.length < 3) encoder.write(`echo ${seen.length}`);
        else encoder.destroy();
      });
      encoder.write('start');
      await once(encoder, 'close');
      expect(texts(parse(seen))).to.deep.equal(['start', 'echo 1', 'echo 2']);
    });
  });

  it('has marks of 128 KiB, and takes each mark', () => {
    const marks = (options: LengthPrefixEncoderOptions) => {
      const { readableHighWaterMark, writableHighWaterMark } = new LengthPrefixEncoder(options);
      return [readableHighWaterMark, writableHighWaterMark];
    };
    expect(marks({})).to.deep.equal([128 * KIB, 128 * KIB]);
    expect(marks({ highWaterMark: 7 })).to.deep.equal([7, 7]);
    expect(marks({ readableHighWaterMark: 7, writableHighWaterMark: 8 })).to.deep.equal([7, 8]);
    expect(marks({ highWaterMark: 0 })).to.deep.equal([0, 0]);
  });
});

class Sink extends Writable {
  override _write(_chunk: unknown, _encoding: BufferEncoding, callback: () => void): void {
    callback();
  }
}

async function chunksOf(encoder: LengthPrefixEncoder): Promise<Buffer[]> {
  return (await encoder.toArray()) as Buffer[];
}

/** Writes all in one tick; what each callback was told. */
function writeAll(encoder: LengthPrefixEncoder, messages: readonly string[]): Promise<unknown[]> {
  return Promise.all(messages.map((message) => new Promise((resolve) => encoder.write(message, resolve))));
}
