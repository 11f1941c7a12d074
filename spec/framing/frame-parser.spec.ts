import { expect } from 'chai';
import { FrameParser } from '../../lib/framing/frame-parser';
import { bytesCopiedBy, bytesKeptBy, reservedBy } from '../support/memory';
import {
  cutAt,
  cutEvery,
  FORMATS,
  frames,
  KINDS_OF_FORMATS,
  messagesOf,
  parse,
  pattern,
  texts,
  thrownBy,
} from '../support/frames';
import { stressed } from '../support/stress';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('FrameParser', () => {
  describe('split positions', () => {
    const three = ['one', '', 'three!'];

    for (const format of stressed(FORMATS, KINDS_OF_FORMATS)) {
      const step = stressed(1, 10);
      it(`gives the same messages for every 1- and 2-cut of a 3-frame stream, and 1 in ${step} 3-cuts, ${JSON.stringify(format)}`, () => {
        const bytes = frames(three, format);
        for (let a = 0; a <= bytes.length; a++) {
          for (let b = a; b <= bytes.length; b++) {
            for (let c = b; c <= bytes.length; c += step) {
              const got = texts(parse(cutAt(bytes, a, b, c), format));
              if (got.join('|') !== three.join('|')) expect(got, `cut at ${a}, ${b}, ${c}`).to.deep.equal(three);
            }
          }
        }
      });
    }

    it('gives exactly the same messages for 200 mixed frames fed one byte at a time', () => {
      const messages = Array.from({ length: 200 }, (_, i) => pattern((i * 37) % 301));
      const got = parse(cutEvery(frames(messages), 1));
      expect(got.map((one) => one.toString('hex'))).to.deep.equal(messages.map((one) => one.toString('hex')));
    });

    it('gives the same for the same bytes cut at every 64 bytes', () => {
      const messages = [0, 10, 13, 1600, 32767, 65535, 70000, 1, 0, 64, 60].map(pattern);
      expect(parse(cutEvery(frames(messages), 64))).to.deep.equal(messages);
    });

    it('is intact for a frame boundary at every offset around 65,536', () => {
      for (let shift = -5; shift <= 5; shift++) {
        const messages = [pattern(65536 - 4 + shift), pattern(100)];
        expect(parse(cutEvery(frames(messages), 65536)), `${shift}`).to.deep.equal(messages);
      }
    });

    it('has no state after a chunk that ends on a frame boundary', () => {
      const parser = new FrameParser();
      expect(messagesOf(parser, frames(['a', 'b']))).to.have.length(2);
      parser.end();
    });

    it("delivers nothing for a chunk that ends after a header, until the body's last byte", () => {
      const parser = new FrameParser();
      const [header, body, last] = cutAt(frames(['hello']), 4, 8) as [Buffer, Buffer, Buffer];
      expect(messagesOf(parser, header)).to.deep.equal([]);
      expect(messagesOf(parser, body)).to.deep.equal([]);
      expect(texts(messagesOf(parser, last))).to.deep.equal(['hello']);
    });

    it('delivers a 2 MiB varint frame that is split after its third prefix byte once and intact', () => {
      const message = pattern(2 * MIB);
      const messages = parse(cutAt(frames([message], { prefix: 'varint' }), 3), { prefix: 'varint' });
      expect(messages).to.have.length(1);
      expect(message.equals(messages[0] as Buffer)).to.equal(true);
    });

    it('gives all whole frames of a chunk at once, and the partial one later', () => {
      const parser = new FrameParser();
      const bytes = frames(['a', 'b', 'c', 'd']);
      const [first, second] = cutAt(bytes, bytes.length - 3) as [Buffer, Buffer];
      expect(texts(messagesOf(parser, first))).to.deep.equal(['a', 'b', 'c']);
      expect(texts(messagesOf(parser, second))).to.deep.equal(['d']);
    });

    it('shares no state between two parsers', () => {
      const [a, b] = [new FrameParser(), new FrameParser({ prefix: 'varint' })];
      const [a1, a2] = cutAt(frames(['from a']), 2) as [Buffer, Buffer];
      const [b1, b2] = cutAt(frames([pattern(300)], { prefix: 'varint' }), 1) as [Buffer, Buffer];
      expect([...messagesOf(a, a1), ...messagesOf(b, b1)]).to.deep.equal([]);
      expect(texts(messagesOf(a, a2))).to.deep.equal(['from a']);
      expect(messagesOf(b, b2)).to.deep.equal([pattern(300)]);
    });
  });

  describe('lengths', () => {
    it('delivers one zero-length Buffer for length 0, in order, also first, last, and 10,000 in a row', () => {
      expect(texts(parse([frames(['', 'a', '', '', 'b', ''])]))).to.deep.equal(['', 'a', '', '', 'b', '']);
      const row = parse([Buffer.alloc(40_000)]);
      expect(row).to.have.length(10_000);
      expect(row.every((message) => Buffer.isBuffer(message) && message.length === 0)).to.equal(true);
    });

    it('passes max-1 and max bytes, and fails on max+1', () => {
      for (const copy of [false, true]) {
        const options = { maxMessageBytes: 100, copy };
        expect(parse([frames([pattern(99), pattern(100)])], options)).to.deep.equal([pattern(99), pattern(100)]);
        expect(thrownBy(() => parse([frames([pattern(101)])], options))).to.include({
          code: 'ERR_REXPORT_MESSAGE_TOO_LARGE',
          messageBytes: 101,
          maxMessageBytes: 100,
          offset: 0,
        });
      }
    });

    it("fails on the header's last byte, before any body byte arrives", () => {
      const parser = new FrameParser({ maxMessageBytes: 255 });
      expect(messagesOf(parser, frames(['before']))).to.have.length(1);
      expect(messagesOf(parser, Buffer.of(0, 0, 1))).to.have.length(0);
      expect(thrownBy(() => messagesOf(parser, Buffer.of(0)))).to.include({ messageBytes: 256, offset: 10 });
    });

    it('throws the same error ever after', () => {
      const parser = new FrameParser();
      const error = thrownBy(() => messagesOf(parser, Buffer.alloc(5, 0xff)));
      expect(error).to.be.an.instanceOf(Error);
      expect(thrownBy(() => parser.next())).to.equal(error);
      expect(thrownBy(() => messagesOf(parser, frames(['fine'])))).to.equal(error);
    });
  });

  describe('memory', () => {
    it('grows by less than 128 KiB for a header that declares 4 GiB-1 with the limit off', () => {
      const before = process.memoryUsage().arrayBuffers;
      const parser = new FrameParser({ maxMessageBytes: 2 ** 32 - 1 });
      const reserved = reservedBy(() => {
        expect(messagesOf(parser, Buffer.alloc(4, 0xff))).to.deep.equal([]);
        expect(messagesOf(parser, Buffer.alloc(1))).to.deep.equal([]);
      });
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(128 * KIB);
      expect(reserved).to.have.length(1);
      expect(reserved[0]).to.be.at.most(KIB);
      expect(thrownBy(() => parser.end())).to.include({ receivedBytes: 1, expectedBytes: 2 ** 32 - 1 });
    });

    it('grows by nothing for 1,000 parsers that were each fed a header of the maximum', () => {
      const before = process.memoryUsage().arrayBuffers;
      const header = Buffer.of(4, 0, 0, 0);
      const parsers = Array.from({ length: 1000 }, () => new FrameParser());
      expect(reservedBy(() => parsers.forEach((parser) => messagesOf(parser, header)))).to.deep.equal([]);
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(MIB);
      expect(thrownBy(() => parsers[999]?.end())).to.include({ expectedBytes: 64 * MIB });
    });

    it('copies nothing of a frame that lies whole in its chunk', () => {
      const chunk = frames(Array.from({ length: 1000 }, () => pattern(60)));
      expect(bytesCopiedBy(() => parse([chunk]))).to.equal(0);
    });

    it('copies a straddling frame once', () => {
      const chunks = cutEvery(frames(Array.from({ length: 1000 }, () => pattern(996))), 64 * KIB);
      const straddling = chunks.length - 1;
      expect(bytesCopiedBy(() => parse(chunks))).to.be.at.most(straddling * 996);
    });

    it('copies a straddling frame of nearly a chunk once too', () => {
      const chunks = cutEvery(frames(Array.from({ length: 100 }, () => pattern(60_000))), 64 * KIB);
      const straddling = chunks.length - 1;
      expect(bytesCopiedBy(() => parse(chunks))).to.be.at.most(straddling * 60_000);
    });

    it('reserves no more than it was given for the first byte of a message that declares 4 GiB-1', () => {
      const chunk = Buffer.concat([frames([pattern(16 * KIB)]), Buffer.alloc(5, 0xff)]);
      const parser = new FrameParser({ maxMessageBytes: 2 ** 32 - 1 });
      const reserved = reservedBy(() => expect(messagesOf(parser, chunk)).to.have.length(1));
      expect(reserved).to.deep.equal([chunk.length]);
    });

    const mebibytes = stressed(64, 2);
    it(`copies under 2x the frame for one ${mebibytes} MiB frame in 1 KiB chunks`, () => {
      const header = Buffer.alloc(4);
      header.writeUInt32BE(mebibytes * MIB);
      const chunk = Buffer.alloc(KIB);
      const parser = new FrameParser();
      let message: Buffer | undefined;
      const copied = bytesCopiedBy(() => {
        messagesOf(parser, header);
        for (let i = 0; i < mebibytes * KIB; i++) [message] = messagesOf(parser, chunk);
      });
      expect(message).to.have.length(mebibytes * MIB);
      expect(copied / (mebibytes * MIB)).to.be.below(1.6);
    });

    it('reserves at most four times what has come of a message', () => {
      const parser = new FrameParser();
      messagesOf(parser, Buffer.of(4, 0, 0, 0));
      const chunk = Buffer.alloc(100_000);
      for (let come = chunk.length; come < mebibytes * MIB; come += chunk.length) {
        const reserved = reservedBy(() => messagesOf(parser, chunk));
        for (const size of reserved) expect(size, `after ${come} bytes`).to.be.at.most(4 * come);
      }
    });

    it('keeps no chunk and no object per chunk while a message comes in pieces', async () => {
      const pieces = stressed(1000, 40);
      const parser = new FrameParser({ maxMessageBytes: MIB });
      const kept = await bytesKeptBy(() => {
        messagesOf(parser, Buffer.of(0, 16, 0, 0));
        for (let i = 0; i < pieces; i++) {
          const chunk = Buffer.alloc(64 * KIB);
          messagesOf(parser, chunk.subarray(0, 1000));
        }
      });
      expect(kept).to.be.below(MIB + 128 * KIB);
      expect(thrownBy(() => parser.end())).to.include({ receivedBytes: pieces * 1000 });
    });

    it('does twice the work for twice the one-byte frames in one chunk, with no stack overflow', () => {
      const frame = frames(['x']);
      const copied = (count: number) => {
        const chunk = Buffer.alloc(count * frame.length, frame);
        return bytesCopiedBy(() => expect(parse([chunk])).to.have.length(count));
      };
      // one that calls itself for each frame has no stack for 20,000
      const count = stressed(50_000, 10_000);
      const [once, twice] = [copied(count), copied(2 * count)];
      expect(twice).to.be.at.most(once * 2.2);
    });
  });

  describe('ownership', () => {
    it('gives views on the chunk by default, and changing one message never changes another', () => {
      const chunk = frames(['aaa', 'bbb', 'ccc']);
      const [a, b, c] = parse([chunk]) as [Buffer, Buffer, Buffer];
      expect(b.buffer).to.equal(chunk.buffer);
      b.fill('x');
      expect(texts([a, b, c])).to.deep.equal(['aaa', 'xxx', 'ccc']);
    });

    it('gives owned messages with copy: true, also of a partial tail', () => {
      const parser = new FrameParser({ copy: true });
      const chunk = Buffer.alloc(16);
      const [first, second] = cutAt(frames(['aaa', '', 'bbbbb']), 16) as [Buffer, Buffer];
      chunk.set(first);
      const messages = messagesOf(parser, chunk);
      chunk.fill(0xff);
      messages.push(...messagesOf(parser, second));
      expect(texts(messages)).to.deep.equal(['aaa', '', 'bbbbb']);
    });

    const count = stressed(1000, 40);
    type Held = [what: string, copy: boolean, least: number, most: number];
    /** A view is one for what the spec before says of its memory. */
    const byViews: Held[] = [['all of them', false, count * 61 * KIB, count * 71 * KIB]];
    const held: Held[] = [['under 1 MiB with copy: true', true, -Infinity, MIB], ...stressed(byViews, [])];
    for (const [what, copy, least, most] of held) {
      it(`of ${count} chunks of 64 KiB with a message of 20 bytes in each, keeps ${what}`, async () => {
        const messages: Buffer[] = [];
        const kept = await bytesKeptBy(() => {
          const parser = new FrameParser({ copy });
          for (let i = 0; i < count; i++) {
            const chunk = Buffer.alloc(64 * KIB);
            chunk[3] = 20;
            messages.push(...messagesOf(parser, chunk.subarray(0, 24)));
          }
        });
        expect(kept).to.be.within(least, most);
        expect(messages).to.have.length(count);
      });
    }

    it('takes a plain Uint8Array at any offset for a chunk', () => {
      const bytes = frames(['offset']);
      const chunk = new Uint8Array(bytes.length + 7);
      chunk.set(bytes, 7);
      const [message] = parse([chunk.subarray(7)]);
      expect(Buffer.isBuffer(message)).to.equal(true);
      expect(String(message)).to.equal('offset');
    });
  });

  describe('end', () => {
    it('is quiet after a whole frame, or with no bytes at all', () => {
      new FrameParser().end();
      parse([frames(['whole'])]);
    });

    it('names the header phase, received and expected, after 1 to width-1 header bytes', () => {
      for (const prefix of [2, 3, 4, 8] as const) {
        for (let bytes = 1; bytes < prefix; bytes++) {
          expect(thrownBy(() => parse([Buffer.alloc(bytes)], { prefix }))).to.include({
            code: 'ERR_REXPORT_FRAME_TRUNCATED',
            phase: 'header',
            receivedBytes: bytes,
            expectedBytes: prefix,
            offset: 0,
          });
        }
      }
    });

    it('names the body phase with the same fields, after the header or in mid-body', () => {
      for (const bytes of [0, 1, 9]) {
        const before = frames(['abc']);
        const cut = frames(['0123456789']).subarray(0, 4 + bytes);
        const error = thrownBy(() => parse([before, cut])) as Error;
        expect(error).to.include({
          code: 'ERR_REXPORT_FRAME_TRUNCATED',
          phase: 'body',
          receivedBytes: bytes,
          expectedBytes: 10,
          offset: 7,
        });
        expect(error.message).to.contain(`${bytes} of 10 bytes`).and.to.contain('byte 7');
      }
    });

    it('is an error after a truncated varint, never a partial value', () => {
      expect(thrownBy(() => parse([Buffer.of(0x80)], { prefix: 'varint' }))).to.include({
        code: 'ERR_REXPORT_FRAME_TRUNCATED',
        phase: 'header',
        receivedBytes: 1,
        expectedBytes: 2,
      });
    });
  });

  describe('use without a stream', () => {
    it('refuses a chunk, or the end, before next has said undefined', () => {
      const parser = new FrameParser();
      parser.write(frames(['a', 'b']));
      expect(() => parser.write(frames(['c']))).to.throw('expected next() to have returned undefined before write()');
      expect(() => parser.end()).to.throw('expected next() to have returned undefined before end()');
      expect([parser.next(), parser.next(), parser.next()].map(String)).to.deep.equal(['a', 'b', 'undefined']);
      expect(texts(messagesOf(parser, frames(['c'])))).to.deep.equal(['c']);
    });

    it('gives back unconsumed bytes, so that a connection can change protocol in mid-chunk', () => {
      const parser = new FrameParser();
      parser.write(Buffer.concat([frames(['upgrade']), Buffer.from('GET / HTTP/1.1')]));
      expect(String(parser.next())).to.equal('upgrade');
      expect(String(parser.takeRest())).to.equal('GET / HTTP/1.1');
      expect(parser.takeRest()).to.have.length(0);
      expect(texts(messagesOf(parser, frames(['again'])))).to.deep.equal(['again']);
    });

    it('refuses to give the rest when it has begun the next frame', () => {
      const parser = new FrameParser();
      messagesOf(parser, frames(['whole', 'cut off']).subarray(0, -1));
      expect(thrownBy(() => parser.takeRest())).to.include({ code: 'ERR_REXPORT_FRAME_TRUNCATED', offset: 9 });
    });

    it('forgets everything with clear', () => {
      const parser = new FrameParser();
      messagesOf(parser, frames(['cut off']).subarray(0, -1));
      parser.clear();
      parser.end();
      expect(texts(messagesOf(parser, frames(['fresh'])))).to.deep.equal(['fresh']);
    });

    it('is no worse for a chunk whose memory is gone than an error', () => {
      const parser = new FrameParser();
      const chunk = new Uint8Array(frames(['gone', 'too']));
      parser.write(chunk);
      structuredClone(chunk, { transfer: [chunk.buffer] });
      expect(thrownBy(() => parser.next())).to.be.an.instanceOf(Error);
    });
  });
});
