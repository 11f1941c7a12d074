import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import type { FrameFormat } from '../../lib/framing/format';
import { FrameParser } from '../../lib/framing/frame-parser';
import { LengthPrefixDecoder } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { cutAt, FORMATS, frames, messagesOf, parse, thrownBy } from '../support/frames';
import { stressed } from '../support/stress';

/** fast-check prints the seed of a run that fails; `SEED=... npm test` repeats it. */
const seed = process.env['SEED'] === undefined ? undefined : Number(process.env['SEED']);
const repeatable = seed === undefined ? {} : { seed };

const message = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 250, minLength: 120 }) },
);
const format = fc.constantFrom<FrameFormat[]>(...FORMATS);
/** Where to cut, as parts of the whole. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });

describe('decode(encode(x)) is x', () => {
  it('for random messages, all options, random chunking', () => {
    const property = fc.property(
      fc.array(message, { maxLength: 20 }),
      format,
      fc.boolean(),
      cuts,
      (messages, of, copy, parts) => {
        const chunks = randomly(frames(messages, of), parts);
        expect(latin1(parse(chunks, { ...of, copy }))).to.deep.equal(latin1(messages));
      },
    );
    fc.assert(property, { numRuns: stressed(2000, 50), ...repeatable });
  });

  it('through the streams, with random marks', async () => {
    const mark = fc.integer({ min: 0, max: 300 });
    const property = fc.asyncProperty(
      fc.array(message, { maxLength: 40 }),
      format,
      cuts,
      fc.record({ writableHighWaterMark: mark, readableHighWaterMark: mark }),
      async (messages, of, parts, marks) => {
        const encoder = Readable.from(messages.map((bytes) => Buffer.from(bytes))).pipe(
          new LengthPrefixEncoder({ ...of, ...marks }),
        );
        const bytes = Buffer.concat((await encoder.toArray()) as Buffer[]);
        expect(bytes.equals(frames(messages, of))).to.equal(true);
        const decoder = Readable.from(randomly(bytes, parts)).pipe(new LengthPrefixDecoder({ ...of, ...marks }));
        expect(latin1((await decoder.toArray()) as Buffer[])).to.deep.equal(latin1(messages));
      },
    );
    await fc.assert(property, { numRuns: stressed(200, 15), ...repeatable });
  });

  it('for messages around 16 KiB, 64 KiB and 1 MiB, whatever the order', async () => {
    const size = fc.constantFrom(0, 1, 16383, 16384, 16385, 65531, 65536, 65541, 1 << 20);
    const property = fc.asyncProperty(fc.array(size, { maxLength: 8 }), async (sizes) => {
      const messages = sizes.map((bytes, i) => Buffer.alloc(bytes, i + 1));
      const decoder = Readable.from(messages).pipe(new LengthPrefixEncoder()).pipe(new LengthPrefixDecoder());
      let i = 0;
      for await (const got of decoder) expect(messages[i++]?.equals(got as Buffer)).to.equal(true);
      expect(i).to.equal(sizes.length);
    });
    await fc.assert(property, { numRuns: stressed(30, 8), ...repeatable });
  });
});

describe('random bytes', () => {
  const runs = stressed(200, 8);
  it(`only ever give messages or one typed error, ${runs} times 5000 of them`, () => {
    const property = fc.property(
      format,
      fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
      cuts,
      (of, stream, parts) => {
        const bytes = Buffer.from([...stream.take(5000)].map((byte, i) => (i % 3 === 0 ? 0 : byte)));
        const parser = new FrameParser({ ...of, maxMessageBytes: 200 });
        let errors = 0;
        for (const chunk of randomly(bytes, parts)) {
          const error = thrownBy(() => messagesOf(parser, chunk)) ?? thrownBy(() => parser.next());
          if (error === undefined) continue;
          errors++;
          expect(error)
            .to.have.property('code')
            .that.matches(/^ERR_REXPORT_(MESSAGE_TOO_LARGE|BAD_LENGTH)$/);
          expect(thrownBy(() => parser.next())).to.equal(error);
          break;
        }
        const end = errors > 0 ? undefined : thrownBy(() => parser.end());
        if (end !== undefined) expect(end).to.include({ code: 'ERR_REXPORT_FRAME_TRUNCATED' });
      },
    );
    fc.assert(property, { numRuns: runs, ...repeatable });
  });

  it('end the stream in an end or one typed error, with nothing uncaught', async () => {
    const property = fc.asyncProperty(format, fc.uint8Array({ maxLength: 300 }), cuts, async (of, bytes, parts) => {
      const decoder = Readable.from(randomly(Buffer.from(bytes), parts)).pipe(
        new LengthPrefixDecoder({ ...of, maxMessageBytes: 100 }),
      );
      const error: unknown = await decoder.toArray().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined)
        expect(error)
          .to.have.property('code')
          .that.matches(/^ERR_REXPORT_/);
    });
    await fc.assert(property, { numRuns: stressed(300, 30), ...repeatable });
  });
});

/** Texts are compared in no time, unlike the numbers in a Buffer. */
function latin1(messages: readonly Uint8Array[]): string[] {
  return messages.map((message) => Buffer.from(message).toString('latin1'));
}

function randomly(bytes: Buffer, parts: readonly number[]): Buffer[] {
  const offsets = parts.map((part) => Math.floor(part * bytes.length)).sort((a, b) => a - b);
  return cutAt(bytes, ...offsets);
}
