import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { contentLength } from '../../lib/framing/content-length';
import type { Framing } from '../../lib/framing/framing';
import { FrameDecoder } from '../../lib/framing/frame-decoder';
import { FrameEncoder } from '../../lib/framing/frame-encoder';
import { lengthPrefix } from '../../lib/framing/length-prefix';
import { lines } from '../../lib/framing/lines';
import { cutAt, cutEvery } from '../support/frames';
import { reservedBy } from '../support/memory';
import { stressed } from '../support/stress';

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };

/** What the framing is made of, and what none of its messages may have in it. */
const FRAMINGS: Record<string, { make: (maxMessageBytes?: number) => Framing; not?: (text: string) => boolean }> = {
  'lengthPrefix()': { make: (maxMessageBytes) => lengthPrefix({ maxMessageBytes }) },
  'lengthPrefix(varint)': { make: (maxMessageBytes) => lengthPrefix({ prefix: 'varint', maxMessageBytes }) },
  'contentLength()': { make: (maxMessageBytes) => contentLength({ maxMessageBytes }) },
  'lines()': { make: (maxMessageBytes) => lines({ maxMessageBytes }), not: (text) => /\n|\r$/.test(text) },
  'lines(CR LF)': {
    make: (maxMessageBytes) => lines({ delimiter: '\r\n', maxMessageBytes }),
    not: (text) => `${text}\r\n`.indexOf('\r\n') < text.length,
  },
  'lines(NUL)': {
    make: (maxMessageBytes) => lines({ delimiter: '\0', maxMessageBytes }),
    not: (text) => /\0/.test(text),
  },
  'lines(a b a b c)': {
    make: (maxMessageBytes) => lines({ delimiter: 'ababc', maxMessageBytes }),
    not: (text) => `${text}ababc`.indexOf('ababc') < text.length,
  },
  'lines(empty line)': {
    make: (maxMessageBytes) => lines({ delimiter: '\n\n', maxMessageBytes }),
    not: (text) => `${text}\n\n`.indexOf('\n\n') < text.length,
  },
};

/** Of few kinds of bytes, so that what looks like a delimiter is frequent. */
const message = fc.oneof(
  { weight: 5, arbitrary: fc.array(fc.constantFrom(...Buffer.from('abc\r\n\0')), { maxLength: 12 }) },
  { weight: 1, arbitrary: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 300 }) },
);
const messages = fc.array(message, { maxLength: 15 });
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });

function bytesOf(framing: Framing, all: readonly Buffer[]): Buffer {
  const writer = framing.writer();
  for (const one of all) writer.write(one);
  const bytes = writer.pendingBytes;
  const chunks = writer.take();
  expect(Buffer.concat(chunks).length).to.equal(bytes);
  return Buffer.concat(chunks);
}

/** The messages, and what the parser threw. */
function parse(framing: Framing, chunks: readonly Buffer[]): { got: Buffer[]; error?: string } {
  const parser = framing.parser();
  const got: Buffer[] = [];
  const all = (): void => {
    for (let one = parser.next(); one !== undefined; one = parser.next()) got.push(Buffer.from(one));
  };
  try {
    for (const chunk of chunks) {
      parser.write(chunk);
      all();
    }
    parser.end();
    all();
  } catch (error) {
    // What an error quotes of the bytes behind a header depends on how many have come.
    const { code, offset } = error as { code: string; offset: number };
    return { got, error: `${code} at byte ${offset}` };
  }
  return { got };
}

/** The same with texts, which are compared in no time, unlike the numbers in a Buffer. */
function parseToTexts(framing: Framing, chunks: readonly Buffer[]): { got: string[]; error?: string } {
  const { got, ...others } = parse(framing, chunks);
  return { got: textsOf(got), ...others };
}

function textsOf(buffers: readonly Buffer[]): string[] {
  return buffers.map((one) => one.toString('latin1'));
}

function randomly(bytes: Buffer, parts: readonly number[]): Buffer[] {
  const offsets = parts.map((part) => Math.floor(part * bytes.length)).sort((a, b) => a - b);
  return cutAt(bytes, ...offsets);
}

for (const [name, { make, not }] of Object.entries(FRAMINGS)) {
  const allowed = (all: readonly number[][]): Buffer[] =>
    all.map((bytes) => Buffer.from(bytes)).filter((bytes) => not?.(bytes.toString('latin1')) !== true);

  describe(`${name}: what holds for every framing`, () => {
    it('any cut of the bytes gives the same messages', () => {
      const property = fc.property(messages, cuts, (all, parts) => {
        const sent = allowed(all);
        expect(parseToTexts(make(), randomly(bytesOf(make(), sent), parts))).to.deep.equal({ got: textsOf(sent) });
      });
      fc.assert(property, { numRuns: stressed(5000, 20), ...seed });
    });

    it('byte by byte too, and any cut of bytes that end too early or are too long gives the same error', () => {
      const property = fc.property(messages, cuts, fc.double({ min: 0, max: 1, noNaN: true }), (all, parts, end) => {
        const whole = bytesOf(make(), allowed(all));
        const bytes = whole.subarray(0, Math.ceil(whole.length * end));
        const once = parseToTexts(make(9), [bytes]);
        expect(parseToTexts(make(9), cutEvery(bytes, 1))).to.deep.equal(once);
        expect(parseToTexts(make(9), randomly(bytes, parts))).to.deep.equal(once);
      });
      fc.assert(property, { numRuns: stressed(5000, 20), ...seed });
    });

    it('through the streams, with any marks, messages are what they were', async () => {
      const mark = fc.integer({ min: 0, max: 300 });
      const marks = fc.record({ writableHighWaterMark: mark, readableHighWaterMark: mark });
      const property = fc.asyncProperty(messages, cuts, marks, async (all, parts, options) => {
        const sent = allowed(all);
        const chunks = await Readable.from(sent).pipe(new FrameEncoder(make(), options)).toArray();
        const decoder = Readable.from(randomly(Buffer.concat(chunks as Buffer[]), parts)).pipe(
          new FrameDecoder(make(), options),
        );
        expect(textsOf((await decoder.toArray()) as Buffer[])).to.deep.equal(textsOf(sent));
      });
      await fc.assert(property, { numRuns: stressed(500, 8), ...seed });
    });

    it('messages around 16 KiB, 64 KiB and 1 MiB pass whole, in chunks of which none is empty', () => {
      const sent = [0, 1, 16_383, 16_384, 16_385, 65_536, 1 << 20, 3].map((bytes, i) => Buffer.alloc(bytes, 48 + i));
      const writer = make().writer();
      for (const one of sent) writer.write(one);
      const chunks = writer.take();
      expect(chunks.every((chunk) => chunk.length > 0)).to.equal(true);
      const { got } = parse(make(), cutEvery(Buffer.concat(chunks), 65_536));
      expect(got.map((one) => one.length)).to.deep.equal(sent.map((one) => one.length));
      expect(Buffer.concat(got).equals(Buffer.concat(sent))).to.equal(true);
    });

    it('two hundred small messages of one tick leave in one chunk', async () => {
      const encoder = new FrameEncoder(make());
      const chunks: Buffer[] = [];
      encoder.on('data', (chunk: Buffer) => chunks.push(chunk));
      for (let i = 0; i < 200; i++) encoder.write(`${i}`);
      encoder.end();
      await turn();
      expect(chunks.length).to.equal(1);
    });

    it('a message of the limit passes, one byte more is refused, to be written and to be read', () => {
      const [ten, eleven] = [Buffer.alloc(10, 'x'), Buffer.alloc(11, 'x')];
      expect(() => make(10).writer().write(eleven))
        .to.throw(/11 bytes.* is 10/)
        .with.property('maxMessageBytes', 10);
      expect(parse(make(10), [bytesOf(make(10), [ten])]).got).to.deep.equal([ten]);
      expect(parse(make(10), [bytesOf(make(), [ten, eleven, ten])])).to.deep.include({ got: [ten] });
      expect(parse(make(10), [bytesOf(make(), [ten, eleven])]).error).to.match(
        /TOO_LARGE|than 10 bytes|limit .* is 10/,
      );
    });

    it('a too long message is refused before more than the limit is reserved', () => {
      const bytes = bytesOf(make(), [Buffer.alloc(4 << 20, 'x')]);
      const reserved = reservedBy(() => {
        expect(parse(make(100_000), cutEvery(bytes, 10_000)).error).to.be.a('string');
      });
      expect(Math.max(0, ...reserved)).to.be.at.most(100_100);
    });

    it('what was complete reaches a slow reader before the error', async () => {
      const bytes = bytesOf(make(), [Buffer.from('one'), Buffer.from('two'), Buffer.alloc(50, 'x')]);
      const decoder = new FrameDecoder(make(20));
      decoder.end(bytes);
      const got: string[] = [];
      let error: unknown;
      try {
        for await (const one of decoder) {
          got.push(String(one));
          await turn();
        }
      } catch (reason) {
        error = reason;
      }
      expect(got).to.deep.equal(['one', 'two']);
      expect(error).to.have.property('code', 'ERR_REXPORT_MESSAGE_TOO_LARGE');
    });

    it('a slow reader stops the parse in mid-chunk', async () => {
      const decoder = new FrameDecoder(make());
      const count = stressed(5000, 400);
      const bytes = bytesOf(make(), Array<Buffer>(count).fill(Buffer.from('m')));
      let isTaken = false;
      decoder.write(bytes, () => (isTaken = true));
      await turn();
      expect([decoder.readableLength, isTaken]).to.deep.equal([256, false]);
      decoder.end();
      expect((await decoder.toArray()).length).to.equal(count);
    });

    it('a parser and a writer are new each time: what one holds is not in another', () => {
      const framing = make();
      const [first, second] = [framing.parser(), framing.parser()];
      const bytes = bytesOf(framing, [Buffer.from('whole')]);
      first.write(bytes.subarray(0, bytes.length - 1));
      expect(first.next()).to.equal(undefined);
      second.write(bytes);
      expect(String(second.next())).to.equal('whole');
      framing.writer().write('lost');
      expect(framing.writer().pendingBytes).to.equal(0);
    });
  });
}

describe('the streams of a framing', () => {
  it('refuse what is none, and options that they do not have', () => {
    for (const bad of [undefined, null, {}, 'lines', { parser: () => lines().parser() }] as unknown as Framing[]) {
      expect(() => new FrameDecoder(bad)).to.throw(
        TypeError,
        'expected `framing` to have the methods parser() and writer()',
      );
      expect(() => new FrameEncoder(bad)).to.throw(
        TypeError,
        'expected `framing` to have the methods parser() and writer()',
      );
    }
    expect(() => new FrameDecoder(lines(), { delimiter: ',' } as object)).to.throw(TypeError, '`delimiter`');
    expect(() => new FrameEncoder(lines(), { writableHighWaterMark: -1 })).to.throw(
      RangeError,
      '`writableHighWaterMark`',
    );
  });

  it('take what a framing of a user throws for their own error', async () => {
    const parser = lines().parser();
    const own = new Error('not a message of mine');
    const framing: Framing = {
      parser: () => ({
        isInsideMessage: false,
        write: (chunk) => parser.write(chunk),
        next: () => {
          const message = parser.next();
          if (String(message) === 'bad') throw own;
          return message;
        },
        end: () => parser.end(),
      }),
      writer: () => {
        throw own;
      },
    };
    const decoder = new FrameDecoder(framing);
    decoder.write('good\nbad\n');
    const got: string[] = [];
    let error: unknown;
    try {
      for await (const one of decoder) got.push(String(one));
    } catch (reason) {
      error = reason;
    }
    expect([got, error]).to.deep.equal([['good'], own]);
    expect(() => new FrameEncoder(framing)).to.throw(own);
  });
});
