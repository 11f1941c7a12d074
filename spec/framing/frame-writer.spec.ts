import { expect } from 'chai';
import { FrameWriter, type Message } from '../../lib/framing/frame-writer';
import { encodeFrame } from '../../lib/framing/length-prefix';
import { bytesCopiedBy, resizable } from '../support/memory';
import { FORMATS, frames, parse, pattern, texts, thrownBy } from '../support/frames';
import { stressed } from '../support/stress';

const KIB = 1024;

describe('FrameWriter', () => {
  for (const format of FORMATS) {
    it(`writes what encodeFrame gives, ${JSON.stringify(format)}`, () => {
      const messages = ['', 'a', pattern(200)];
      expect(Buffer.concat(written(messages, new FrameWriter(format)))).to.deep.equal(frames(messages, format));
    });
  }

  it('puts many small messages in one chunk, and tells what was batched', () => {
    const writer = new FrameWriter();
    for (const message of ['one', '', 'two']) writer.write(message);
    expect(writer).to.include({ pendingBytes: 18, pendingMessages: 3 });
    const chunks = writer.take();
    expect(chunks).to.have.length(1);
    expect(texts(parse(chunks))).to.deep.equal(['one', '', 'two']);
    expect(writer).to.include({ pendingBytes: 0, pendingMessages: 0 });
    expect(writer.take()).to.deep.equal([]);
  });

  it('never writes again where it has taken from', () => {
    const writer = new FrameWriter();
    const taken: Buffer[] = [];
    const count = stressed(5000, 1000);
    for (let i = 0; i < count; i++) {
      writer.write(`message ${i}`);
      taken.push(...writer.take());
    }
    expect(texts(parse(taken))).to.deep.equal(Array.from({ length: count }, (_, i) => `message ${i}`));
  });

  it('lets 1,000 small messages leave in at most total/64 KiB + 2 chunks', () => {
    for (const size of [0, 1, 60, 100, 500, 1000]) {
      const chunks = written(Array<Buffer>(1000).fill(pattern(size)), new FrameWriter());
      expect(chunks.length, `${size} bytes each`).to.be.at.most((1000 * (4 + size)) / (64 * KIB) + 2);
    }
  });

  it('has no output chunk that is header-only when the payload is non-empty', () => {
    for (const size of [1, 16 * KIB, 16 * KIB + 1, 100 * KIB]) {
      const [chunk] = written([pattern(size)], new FrameWriter());
      expect(chunk?.length, `${size}`).to.be.above(4);
    }
  });

  it('lets each batch of a flood leave as one chunk, up to 144 KiB', () => {
    const writer = new FrameWriter();
    for (const [batch, count] of [120, 130, 128, 135, 130].entries()) {
      for (let i = 0; i < count; i++) writer.write(pattern(KIB));
      const sizes = writer.take().map((chunk) => chunk.length);
      if (batch > 0) expect(sizes).to.deep.equal([count * (KIB + 4)]);
    }
    for (let i = 0; i < 300; i++) writer.write(pattern(KIB));
    for (const { length } of writer.take()) expect(length).to.be.at.most(144 * KIB);
  });

  it('holds a small slab for a trickle, also for one after a flood', () => {
    const writer = new FrameWriter();
    writer.write('x');
    expect(writer.take()[0]?.buffer.byteLength).to.be.at.most(8 * KIB);
    for (let i = 0; i < 200; i++) writer.write(pattern(KIB));
    writer.take();
    writer.write('the end of the flood');
    writer.take();
    const slabs = ['x', 'y', 'z'].flatMap((message) => {
      writer.write(message);
      return writer.take().map((chunk) => chunk.buffer);
    });
    expect(new Set(slabs)).to.have.property('size', 1);
    expect(slabs[0]?.byteLength).to.be.at.most(8 * KIB);
  });

  it('takes the heads of long messages for no flood', () => {
    const writer = new FrameWriter();
    const long = pattern(100 * KIB);
    for (let batch = 0; batch < 20; batch++) {
      writer.write(long);
      writer.write(long);
      const heads = writer.take().filter(({ length }) => length === 4 + KIB);
      expect(heads).to.have.length(2);
      for (const { buffer } of heads) expect(buffer.byteLength, `batch ${batch}`).to.be.at.most(8 * KIB);
    }
  });

  it('copies a payload of 16 KiB whole, and of a longer one the first KiB', () => {
    const copied = (size: number) => bytesCopiedBy(() => written([pattern(size)], new FrameWriter()));
    expect(copied(64)).to.equal(64);
    expect(copied(16 * KIB)).to.equal(16 * KIB);
    expect(copied(16 * KIB + 1)).to.equal(KIB);
    expect(copied(1024 * KIB)).to.equal(KIB);
  });

  it('is not altered by what the caller does to a copied payload; of a longer one the rest is the caller’s', () => {
    const writer = new FrameWriter();
    const [small, large] = [pattern(100), pattern(100 * KIB)];
    writer.write(small);
    writer.write(large);
    small.fill(0xee);
    large.fill(0xee);
    const [first, second] = parse(writer.take()) as [Buffer, Buffer];
    expect(first).to.deep.equal(pattern(100));
    expect(second.subarray(0, KIB)).to.deep.equal(pattern(KIB));
    expect(second.subarray(KIB).every((byte) => byte === 0xee)).to.equal(true);
  });

  describe('lengths', () => {
    it('refuses 256 bytes with width 1, 65,536 with width 2, 16 MiB with width 3, 4 GiB with width 4', () => {
      for (const [prefix, bytes] of [
        [1, 256],
        [2, 65536],
        [3, 2 ** 24],
        [4, 2 ** 32],
      ] as const) {
        const fake = Object.defineProperty(Buffer.alloc(1), 'length', { value: bytes });
        const format = { prefix, maxMessageBytes: 2 ** (8 * prefix) - 1 };
        const writer = new FrameWriter(format);
        for (const act of [() => writer.write(fake), () => encodeFrame(fake, format)]) {
          expect(thrownBy(act)).to.include({
            code: 'ERR_REXPORT_MESSAGE_TOO_LARGE',
            messageBytes: bytes,
            maxMessageBytes: bytes - 1,
            offset: undefined,
          });
        }
      }
    });

    it('passes max-1 and max bytes, and refuses max+1', () => {
      const writer = new FrameWriter({ maxMessageBytes: 100 });
      expect(parse(written([pattern(99), pattern(100)], writer))).to.deep.equal([pattern(99), pattern(100)]);
      const error = thrownBy(() => writer.write(pattern(101))) as Error;
      expect(error.message).to.equal('the message has 101 bytes; the limit (`maxMessageBytes`) is 100');
    });

    it('is as good as before after a message that it refused', () => {
      const writer = new FrameWriter({ packet: 1 });
      writer.write('before');
      expect(thrownBy(() => writer.write(pattern(256)))).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE' });
      expect(thrownBy(() => writer.write(1 as never))).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE' });
      expect(writer).to.include({ pendingBytes: 7, pendingMessages: 1 });
      writer.write('after');
      expect(texts(parse(writer.take(), { packet: 1 }))).to.deep.equal(['before', 'after']);
    });
  });

  describe('inputs', () => {
    it('measures strings in UTF-8 bytes (`héé` is 5)', () => {
      expect(encodeFrame('héé', { packet: 1 })).to.deep.equal(Buffer.from('\x05héé'));
    });

    it('makes U+FFFD (3 bytes) of a lone surrogate, and the prefix matches', () => {
      expect(encodeFrame('a\ud800b', { packet: 1 })).to.deep.equal(Buffer.from('\x05a\ufffdb'));
    });

    it('uses the decoded byte count for base64, hex and latin1, also with newlines in them', () => {
      const writer = new FrameWriter();
      writer.write('aGVs\nbG8=\n', 'base64');
      writer.write('00ff', 'hex');
      writer.write('é', 'latin1');
      expect(parse(writer.take())).to.deep.equal([Buffer.from('hello'), Buffer.of(0, 255), Buffer.of(0xe9)]);
    });

    it('takes byteLength, not length, of every kind of view, honouring byteOffset', () => {
      const memory = new ArrayBuffer(64);
      new Uint8Array(memory).set(pattern(64));
      class Sub extends Uint8Array {}
      const views = [
        Buffer.from(memory, 8, 16),
        new Uint8Array(memory, 8, 16),
        new Sub(memory, 8, 16),
        new Uint16Array(memory, 8, 8),
        new Float64Array(memory, 8, 2),
        new DataView(memory, 8, 16),
      ];
      const expected = pattern(64).subarray(8, 24);
      for (const view of views) {
        expect(parse([encodeFrame(view)]), view.constructor.name).to.deep.equal([expected]);
        expect(parse(written([view], new FrameWriter())), view.constructor.name).to.deep.equal([expected]);
      }
    });

    it('takes a large view that is no Buffer', () => {
      const large = new Uint32Array(100_000).map((_, i) => i);
      expect(parse(written([large], new FrameWriter()))[0]?.equals(Buffer.from(large.buffer))).to.equal(true);
    });

    it('takes views on shared memory', () => {
      const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 4).fill(7);
      expect(parse(written([shared], new FrameWriter()))).to.deep.equal([Buffer.alloc(4, 7)]);
    });

    it('refuses whatever is no bytes', () => {
      const wrong: readonly (readonly [unknown, string])[] = [
        [undefined, 'undefined'],
        [null, 'null'],
        [1, 'number'],
        [{ password: 'secret' }, 'Object'],
        [[1, 2], 'Array'],
        [new ArrayBuffer(8), 'ArrayBuffer'],
        [new SharedArrayBuffer(8), 'SharedArrayBuffer'],
        [Object.create(null), 'object'],
      ];
      for (const [message, type] of wrong) {
        const error = thrownBy(() => new FrameWriter().write(message as Message)) as Error;
        expect(error).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE', type });
        const text = `expected a message to be a string, a Buffer or another view, got a value of type ${type}`;
        expect(error.message).to.equal(text);
      }
    });

    it('refuses a detached ArrayBuffer, whatever the view, and not an empty one', () => {
      type View = new (memory: ArrayBuffer) => NodeJS.ArrayBufferView;
      for (const View of [Uint8Array, Uint16Array, DataView] as readonly View[]) {
        const memory = new ArrayBuffer(8);
        const view = new View(memory);
        structuredClone(memory, { transfer: [memory] });
        const error = thrownBy(() => encodeFrame(view)) as Error;
        expect(error).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE', type: View.name });
        expect(error.cause).to.be.an.instanceOf(TypeError);
        expect(encodeFrame(new View(new ArrayBuffer(0)))).to.have.length(4);
      }
    });

    it('refuses a view that its shrunken memory no longer holds', () => {
      const memory = resizable(64);
      const view = new Uint8Array(memory, 32, 16);
      memory.resize(16);
      expect(thrownBy(() => new FrameWriter().write(view))).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE' });
    });

    it('copies a large view that could shrink after its length was written', () => {
      const memory = resizable(100 * KIB);
      const writer = new FrameWriter();
      writer.write(new Uint8Array(memory).fill(5));
      memory.resize(0);
      expect(parse(writer.take())[0]?.equals(Buffer.alloc(100 * KIB, 5))).to.equal(true);
    });
  });
});

describe('encodeFrame', () => {
  it('gives one frame in memory of its own', () => {
    const message = pattern(100 * KIB);
    const frame = encodeFrame(message);
    message.fill(0);
    expect(parse([frame])[0]?.equals(pattern(100 * KIB))).to.equal(true);
  });
});

function written(messages: readonly Message[], writer: FrameWriter): Buffer[] {
  for (const message of messages) writer.write(message);
  return writer.take();
}
