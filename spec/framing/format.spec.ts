import { constants } from 'node:buffer';
import { expect } from 'chai';
import { type FrameFormat, prefixOf } from '../../lib/framing/format';
import { FrameWriter } from '../../lib/framing/frame-writer';
import { encodeFrame } from '../../lib/framing/length-prefix';
import { FrameParser } from '../../lib/framing/frame-parser';
import { LengthPrefixDecoder } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { cutAt, cutEvery, FORMATS, frames, KINDS_OF_FORMATS, parse, pattern, texts, thrownBy } from '../support/frames';
import { stressed } from '../support/stress';

const MIB = 1024 * 1024;

describe('the format', () => {
  for (const format of stressed(FORMATS, KINDS_OF_FORMATS)) {
    describe(JSON.stringify(format), () => {
      it('gives the same messages for a header split at every byte position', () => {
        const hex = (messages: readonly Buffer[]): string[] => messages.map((message) => message.toString('hex'));
        const messages = [Buffer.from('first'), Buffer.alloc(0), pattern(200)];
        const bytes = frames(messages, format);
        for (let cut = 0; cut <= bytes.length; cut++) {
          expect(hex(parse(cutAt(bytes, cut), format)), `cut at ${cut}`).to.deep.equal(hex(messages));
        }
      });

      it('gives the same messages one byte at a time, with empty chunks between', () => {
        const chunks = cutEvery(frames(['ab', '', 'cde'], format), 1).flatMap((byte) => [Buffer.alloc(0), byte]);
        expect(texts(parse(chunks, format))).to.deep.equal(['ab', '', 'cde']);
      });
    });
  }

  it('reads and writes varints of 1 to 8 bytes, split anywhere', () => {
    for (let width = 1; width <= 8; width++) {
      const parser = new FrameParser({ prefix: 'varint', maxMessageBytes: 10 });
      const length = Math.min(128 ** width - 1, Number.MAX_SAFE_INTEGER);
      const prefix = varint(length);
      expect(prefix).to.have.length(width);
      for (const byte of prefix.subarray(0, -1)) {
        parser.write(Buffer.of(byte));
        expect(parser.next()).to.equal(undefined);
      }
      parser.write(prefix.subarray(-1));
      expect(thrownBy(() => parser.next())).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE', messageBytes: length });
    }
    for (const length of [0, 127, 128, 16383, 16384, 2097151, 2097152]) {
      const frame = encodeFrame(Buffer.alloc(length), { prefix: 'varint' });
      expect(frame.subarray(0, -length || undefined), `${length}`).to.deep.equal(varint(length));
    }
  });

  it('accepts an overlong varint (80 00), as protobuf does', () => {
    expect(
      texts(parse([Buffer.of(0x80, 0), Buffer.of(0x81, 0x80, 0), Buffer.from('x')], { prefix: 'varint' })),
    ).to.deep.equal(['', 'x']);
  });

  it('writes the lengths around every byte, and those above 2 GiB, as Buffer writes them', () => {
    const lengths = [
      0,
      1,
      255,
      256,
      65535,
      65536,
      2 ** 24 - 1,
      2 ** 24,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32 - 5,
      2 ** 32 - 1,
    ];
    for (const endian of ['big', 'little'] as const) {
      for (const [prefix, counted] of [
        [4, 0],
        [4, 4],
        [8, 0],
      ] as const) {
        const format = prefixOf('a spec', { prefix, endian, lengthIncludesPrefix: counted > 0 });
        for (const length of lengths.filter((length) => length + counted < 256 ** prefix)) {
          const written = Buffer.alloc(prefix);
          expect(format.write(written, 0, length)).to.equal(prefix);
          const expected = Buffer.alloc(8);
          if (endian === 'big') expected.writeBigUInt64BE(BigInt(length + counted));
          else expected.writeBigUInt64LE(BigInt(length + counted));
          const of4 = endian === 'big' ? expected.subarray(4) : expected.subarray(0, 4);
          expect(written, `${length} ${endian}`).to.deep.equal(prefix === 4 ? of4 : expected);
        }
      }
    }
  });

  it('reads FF FF FF FF as 4294967295 and 80 00 00 00 as 2147483648, never as negative', () => {
    expect(announced(Buffer.from('ffffffff', 'hex'), {})).to.equal(4294967295);
    expect(announced(Buffer.from('80000000', 'hex'), {})).to.equal(2147483648);
    expect(announced(Buffer.from('00000080', 'hex'), { prefix: 4, endian: 'little' })).to.equal(2147483648);
    expect(texts(parse([Buffer.from('0102', 'hex'), Buffer.alloc(258, 'x')], { packet: 2 }))).to.deep.equal([
      'x'.repeat(258),
    ]);
  });

  it('reports an 8-byte length of 2^53-1 exactly, and gives a typed error for 2^53 and FF x8', () => {
    for (const endian of ['big', 'little'] as const) {
      const format: FrameFormat = { prefix: 8, endian };
      const ordered = (hex: string) => (endian === 'big' ? Buffer.from(hex, 'hex') : Buffer.from(hex, 'hex').reverse());
      expect(announced(ordered('001fffffffffffff'), format)).to.equal(Number.MAX_SAFE_INTEGER);
      for (const hex of ['0020000000000000', '0020000000000001', '8000000000000000', 'ffffffffffffffff']) {
        const error = refusal(ordered(hex), format);
        expect(error, hex).to.include({ code: 'ERR_REXPORT_BAD_LENGTH', offset: 0 });
        expect(error.message).to.contain('2^53');
      }
    }
  });

  it('fails at the tenth byte of a varint that goes on, and for one of 2^53 and more', () => {
    const parser = new FrameParser({ prefix: 'varint' });
    for (let i = 0; i < 9; i++) {
      parser.write(Buffer.of(0x80));
      expect(parser.next()).to.equal(undefined);
    }
    parser.write(Buffer.of(0x80));
    expect(thrownBy(() => parser.next())).to.include({ code: 'ERR_REXPORT_BAD_LENGTH' });
    const large = Buffer.from('80808080808080' + '10', 'hex');
    expect(refusal(large, { prefix: 'varint' })).to.include({ code: 'ERR_REXPORT_BAD_LENGTH' });
  });

  it('gives "bad length" for self-inclusive lengths 0 to headerSize-1, not an empty frame, not a hang', () => {
    for (const prefix of [1, 2, 3, 4, 8] as const) {
      const format = { prefix, lengthIncludesPrefix: true };
      for (let length = 0; length < prefix; length++) {
        const header = Buffer.alloc(prefix);
        header[prefix - 1] = length;
        const error = refusal(header, format);
        expect(error).to.include({ code: 'ERR_REXPORT_BAD_LENGTH' });
        expect(error.message)
          .to.contain(`a length of ${length} bytes`)
          .and.to.contain(`the ${prefix} of its own prefix`);
      }
      const least = Buffer.alloc(prefix);
      least[prefix - 1] = prefix;
      expect(texts(parse([least], format))).to.deep.equal(['']);
    }
  });

  it('clamps the default limit to what the prefix can say', () => {
    expect(limitOf({ packet: 1 })).to.equal(255);
    expect(limitOf({ prefix: 1, lengthIncludesPrefix: true })).to.equal(254);
    expect(limitOf({ packet: 2 })).to.equal(65535);
    expect(limitOf({ prefix: 3 })).to.equal(16 * MIB - 1);
    for (const format of [{}, { prefix: 4 }, { prefix: 8 }, { prefix: 'varint' }] as const) {
      expect(limitOf(format)).to.equal(64 * MIB);
    }
  });

  describe('refuses in the constructor', () => {
    const wrong: readonly (readonly [string, object, typeof TypeError | typeof RangeError, string])[] = [
      ['packet 3', { packet: 3 }, RangeError, 'expected `packet` to be 1, 2 or 4, got 3'],
      ['a width of 0', { prefix: 0 }, RangeError, "expected `prefix` to be 1, 2, 3, 4, 8 or 'varint', got 0"],
      ['a width of 9', { prefix: 9 }, RangeError, 'got 9'],
      ['a width of 1.5', { prefix: 1.5 }, RangeError, 'got 1.5'],
      ['a width of NaN', { packet: NaN }, RangeError, 'got NaN'],
      ['null for a width', { packet: null }, TypeError, 'got null'],
      ['packet together with prefix', { packet: 4, prefix: 4 }, TypeError, 'either `packet` or `prefix`'],
      ['a byte order for packet', { packet: 4, endian: 'little' }, TypeError, '`endian` only together with a `prefix`'],
      ['a byte order for a varint', { prefix: 'varint', endian: 'big' }, TypeError, '`endian`'],
      [
        'a varint that counts itself',
        { prefix: 'varint', lengthIncludesPrefix: true },
        TypeError,
        '`lengthIncludesPrefix`',
      ],
      ['an unknown byte order', { prefix: 4, endian: 'middle' }, RangeError, "'big' or 'little', got 'middle'"],
      ['a claim that is no boolean', { prefix: 4, lengthIncludesPrefix: 1 }, TypeError, 'true or false, got 1'],
      [
        'a limit above what the width can carry',
        { packet: 1, maxMessageBytes: 256 },
        RangeError,
        'from 1 to 255, got 256',
      ],
      [
        'a limit above what a self-inclusive width can carry',
        { prefix: 2, lengthIncludesPrefix: true, maxMessageBytes: 65534 },
        RangeError,
        'from 1 to 65533, got 65534',
      ],
      [
        'a limit above what a Buffer can hold',
        { prefix: 8, maxMessageBytes: 2 ** 53 },
        RangeError,
        `${constants.MAX_LENGTH}`,
      ],
      ['a limit of 0', { maxMessageBytes: 0 }, RangeError, 'got 0'],
      ['a negative limit', { maxMessageBytes: -1 }, RangeError, 'got -1'],
      ['a fractional limit', { maxMessageBytes: 1.5 }, RangeError, 'got 1.5'],
      ['a limit of NaN', { maxMessageBytes: NaN }, RangeError, 'got NaN'],
      ['a limit that is text', { maxMessageBytes: '1' }, TypeError, "got '1'"],
      ['an unknown option', { paket: 4 }, TypeError, 'got `paket`'],
    ];
    for (const [what, options, type, text] of wrong) {
      it(what, () => {
        for (const Class of [FrameWriter, FrameParser, LengthPrefixEncoder, LengthPrefixDecoder]) {
          expect(() => new Class(options)).to.throw(type, text);
        }
        expect(() => encodeFrame('', options)).to.throw(type, text);
      });
    }

    it('options that are no object', () => {
      expect(() => new FrameParser(4 as never)).to.throw(TypeError, 'options of FrameParser to be an object, got 4');
    });

    it('stream options that it does not take', () => {
      for (const Class of [LengthPrefixEncoder, LengthPrefixDecoder]) {
        expect(() => new Class({ objectMode: true } as never)).to.throw(TypeError, 'got `objectMode`');
        expect(() => new Class({ highWaterMark: -1 })).to.throw(RangeError, 'got -1');
        expect(() => new Class({ signal: 'now' as never })).to.throw(TypeError);
      }
    });
  });

  it('takes undefined for any option as left out', () => {
    const format = { packet: undefined, prefix: undefined, endian: undefined, lengthIncludesPrefix: undefined };
    expect(encodeFrame('a', { ...format, maxMessageBytes: undefined })).to.deep.equal(encodeFrame('a'));
  });
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

function refusal(header: Buffer, format: FrameFormat): Error {
  return thrownBy(() => parse([header], format)) as Error;
}

function announced(header: Buffer, format: FrameFormat): number {
  const error = refusal(header, { ...format, maxMessageBytes: 1000 });
  expect(error).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE', maxMessageBytes: 1000 });
  return (error as Error & { messageBytes: number }).messageBytes;
}

/** The limit as the writer tells it, for a message that has any number of bytes. */
function limitOf(format: FrameFormat): number {
  const endless = Object.defineProperty(Buffer.alloc(1), 'length', { value: 2 ** 60 });
  const error = thrownBy(() => new FrameWriter(format).write(endless));
  return (error as Error & { maxMessageBytes: number }).maxMessageBytes;
}
