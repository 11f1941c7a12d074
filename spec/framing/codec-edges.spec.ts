/** What users do at the edges of a codec: end it, read it, stop it and change its encoding in the midst of its work. */
import { once } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import vm from 'node:vm';
import { expect } from 'chai';
import { encodeFrame } from '../../lib/framing/length-prefix';
import { LengthPrefixDecoder } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { FrameParser } from '../../lib/framing/frame-parser';
import { frames, parse, texts } from '../support/frames';
import { closed, rejection } from '../support/streams';
import { thrownToProcess } from '../support/thrown';
import { stressed } from '../support/stress';

const MIB = 1024 * 1024;
const TOO_LARGE = 'ERR_REXPORT_MESSAGE_TOO_LARGE';

describe('the encoder', () => {
  it('loses nothing when a data listener ends it while two large messages wait', async () => {
    const encoder = new LengthPrefixEncoder();
    const chunks: Buffer[] = [];
    encoder.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      encoder.end();
    });
    const messages = [Buffer.alloc(100_000, 'a'), Buffer.alloc(100_000, 'b')];
    for (const message of messages) encoder.write(message);
    await once(encoder, 'close');
    expect(Buffer.concat(chunks).equals(frames(messages))).to.equal(true);
  });

  it('loses nothing when a data listener writes and ends it with one more message', async () => {
    const encoder = new LengthPrefixEncoder();
    const chunks: Buffer[] = [];
    encoder.on('data', (chunk: Buffer) => {
      if (chunks.push(chunk) === 1) encoder.end('last');
    });
    const messages = [Buffer.alloc(50_000, 'a'), Buffer.alloc(50_000, 'b')];
    for (const message of messages) encoder.write(message);
    await once(encoder, 'close');
    expect(Buffer.concat(chunks).equals(frames([...messages, 'last']))).to.equal(true);
  });

  it('calls a reader back that reads inside `drain` and inside a write callback, and cuts nothing', async () => {
    const encoder = new LengthPrefixEncoder({ highWaterMark: 10 });
    const chunks: Buffer[] = [];
    const readAll = (): void => {
      for (let chunk = read(encoder); chunk !== null; chunk = read(encoder)) chunks.push(chunk);
    };
    encoder.on('drain', readAll);
    const messages = Array.from({ length: 200 }, (_, i) => Buffer.alloc(i * 20, i));
    for (const message of messages) {
      encoder.write(message, readAll);
      readAll();
      await turn();
    }
    encoder.on('readable', readAll).end();
    await once(encoder, 'close');
    expect(Buffer.concat(chunks).equals(frames(messages))).to.equal(true);
  });

  describe('before a message that is too large', () => {
    const large = Buffer.alloc(150_000, 'm');
    const tooLarge = Buffer.alloc(200_001);

    it('sends a message whole of which a reader has had the first part, and then fails', async () => {
      const encoder = new LengthPrefixEncoder({ maxMessageBytes: 200_000, readableHighWaterMark: 1000 });
      encoder.write(large);
      await turn();
      const first = read(encoder)!;
      expect(first.length).to.be.below(large.length);
      const told = new Promise((resolve) => encoder.write(tooLarge, resolve));
      const chunks = [first];
      const error = await rejection(
        (async () => {
          for await (const chunk of encoder) chunks.push(chunk as Buffer);
        })(),
      );
      expect(Buffer.concat(chunks).equals(frames([large]))).to.equal(true);
      expect(error).to.have.property('code', TOO_LARGE);
      expect(await told).to.equal(error);
    });

    it('sends it whole to a slow sink of a pipeline, which then fails', async () => {
      const encoder = new LengthPrefixEncoder({ maxMessageBytes: 200_000 });
      const chunks: Buffer[] = [];
      const sink = new Writable({
        highWaterMark: 1,
        write: (chunk: Buffer, _encoding, callback) => {
          chunks.push(chunk);
          setTimeout(callback, 5);
        },
      });
      const source = Readable.from([large, large, tooLarge, large]);
      expect(await rejection(pipeline(source, encoder, sink))).to.have.property('code', TOO_LARGE);
      const bytes = Buffer.concat(chunks);
      expect(bytes.length % frames([large]).length).to.equal(0);
      expect(parse([bytes]).every((message) => message.equals(large))).to.equal(true);
    });

    it('sends nothing where a reader has had nothing, and fails at once', async () => {
      const encoder = new LengthPrefixEncoder({ maxMessageBytes: 200_000 });
      encoder.write(large);
      await turn();
      encoder.write(tooLarge);
      expect(encoder.destroyed).to.equal(true);
      expect(await rejection(encoder.toArray())).to.have.property('code', TOO_LARGE);
    });

    it('has no good end: `end` after it, or with it, is told the error', async () => {
      const encoder = new LengthPrefixEncoder({ maxMessageBytes: 200_000, readableHighWaterMark: 1000 });
      encoder.write(large);
      await turn();
      const first = read(encoder)!;
      const told = new Promise((resolve) => encoder.end(tooLarge, resolve as () => void));
      expect(await told).to.have.property('code', TOO_LARGE);
      let bytes = first.length;
      encoder.on('data', (chunk: Buffer) => (bytes += chunk.length));
      const [error] = (await once(encoder, 'error')) as [Error];
      expect(error).to.have.property('code', TOO_LARGE);
      expect(bytes).to.equal(frames([large]).length);
    });
  });

  const refused = stressed(20_000, 12_000);
  it(`refuses ${refused} messages that are too long in one tick, each with its error`, async () => {
    const encoder = new LengthPrefixEncoder({ maxMessageBytes: 1 });
    encoder.on('error', () => {});
    const told: unknown[] = [];
    const { stackTraceLimit } = Error;
    // all of their stacks would take four times as long as all the rest
    Error.stackTraceLimit = 0;
    for (let i = 0; i < refused; i++) encoder.write('too long', (error) => told.push(error));
    Error.stackTraceLimit = stackTraceLimit;
    await closed(encoder);
    await turn();
    expect(told.length).to.equal(refused);
    expect(told.every((error) => error instanceof Error)).to.equal(true);
    expect(told[0]).to.have.property('code', TOO_LARGE);
  });

  it('says `drain` once for what Writable has seen and what it has not', async () => {
    const encoder = new LengthPrefixEncoder({ highWaterMark: 100 });
    let drains = 0;
    encoder.on('drain', () => (drains += 1));
    expect(encoder.write(Buffer.alloc(200))).to.equal(false);
    await turn();
    expect(encoder.writableNeedDrain).to.equal(true);
    // Writable gets rid of what it has in the tick before the one in which it gets this.
    read(encoder);
    expect(encoder.write('little')).to.equal(false);
    for (let turns = 0; turns < 5; turns++) {
      read(encoder);
      await turn();
    }
    expect([drains, encoder.writableNeedDrain]).to.deep.equal([1, false]);
    encoder.destroy();
  });

  it('throws what callbacks and listeners throw to the process, and calls all the others', async () => {
    const encoder = new LengthPrefixEncoder();
    const called: string[] = [];
    const thrower = (name: string) => (): void => {
      called.push(name);
      throw new Error(name);
    };
    const thrown = await thrownToProcess(async () => {
      encoder.on('data', thrower('data'));
      encoder.on('finish', thrower('finish')).on('end', thrower('end'));
      encoder.write('a', thrower('first callback'));
      encoder.write('b', thrower('second callback'));
      encoder.end(thrower('end callback'));
      await closed(encoder);
    });
    const names = ['data', 'first callback', 'second callback', 'finish', 'end', 'end callback'];
    expect(called).to.have.members(names);
    expect(thrown.map((error) => (error as Error).message)).to.have.members(names);
  });
});

describe('the decoder', () => {
  it('gives two messages of more than 1 MiB to a listener that pauses at each', async () => {
    const decoder = new LengthPrefixDecoder();
    const sizes: number[] = [];
    decoder.on('data', (message: Buffer) => {
      sizes.push(message.length);
      decoder.pause();
      setImmediate(() => decoder.resume());
    });
    decoder.end(frames([Buffer.alloc(MIB + 1), Buffer.alloc(MIB + 2), Buffer.alloc(MIB + 3), 'x']));
    await once(decoder, 'end');
    expect(sizes).to.deep.equal([MIB + 1, MIB + 2, MIB + 3, 1]);
  });

  it('counts what waits by what waits: messages that a pausing listener took are not in it', async () => {
    const decoder = new LengthPrefixDecoder();
    let taken = 0;
    decoder.on('data', () => {
      if (++taken <= 4) {
        decoder.pause();
        setImmediate(() => decoder.resume());
      } else if (taken === 5) decoder.pause();
    });
    decoder.write(frames(Array<Buffer>(20).fill(Buffer.alloc(300_000))));
    while (taken < 5) await turn();
    await turn();
    // 1 MiB of them, and the one that goes above it
    expect(decoder.readableLength).to.equal(4);
    decoder.destroy();
  });

  describe('with setEncoding', () => {
    const messages = ['é', 'zwölf', '', '€'];

    const readers: [name: string, read: (decoder: LengthPrefixDecoder) => Promise<unknown[]>][] = [
      [
        'for await',
        async (decoder) => {
          const seen: unknown[] = [];
          for await (const message of decoder) seen.push(message);
          return seen;
        },
      ],
      [
        'a data listener',
        async (decoder) => {
          const seen: unknown[] = [];
          decoder.on('data', (message) => seen.push(message));
          await once(decoder, 'end');
          return seen;
        },
      ],
      [
        'read()',
        async (decoder) => {
          const seen: unknown[] = [];
          decoder.on('readable', () => {
            for (let one: unknown = decoder.read(); one !== null; one = decoder.read()) seen.push(one);
          });
          await once(decoder, 'end');
          return seen;
        },
      ],
      ['pipe', (decoder) => decoder.pipe(new PassThrough({ objectMode: true })).toArray()],
    ];
    for (const [name, readAll] of readers) {
      it(`every message is a string to ${name}, those that came before it too`, async () => {
        const decoder = new LengthPrefixDecoder();
        decoder.write(frames(messages.slice(0, 2)));
        await turn();
        decoder.setEncoding('utf8');
        decoder.end(frames(messages.slice(2)));
        expect(await readAll(decoder)).to.deep.equal(messages);
      });
    }

    it('half a character at the end of a message does not reach into the next', async () => {
      const decoder = new LengthPrefixDecoder();
      decoder.setEncoding('utf8').end(frames([Buffer.from([0xc3]), Buffer.from([0xa9]), 'x']));
      expect(await decoder.toArray()).to.deep.equal(['\ufffd', '\ufffd', 'x']);
    });

    it('the last encoding counts, and an unknown one is refused', async () => {
      const decoder = new LengthPrefixDecoder();
      expect(decoder.readableEncoding).to.equal(null);
      decoder.setEncoding('utf8').setEncoding('hex');
      expect(() => decoder.setEncoding('utf9' as BufferEncoding)).to.throw(TypeError, "got 'utf9'");
      expect(decoder.readableEncoding).to.equal('hex');
      decoder.end(frames(['a', 'bc']));
      expect(await decoder.toArray()).to.deep.equal(['61', '6263']);
    });
  });

  it('is destroyed by what is no bytes, rather than throw at the source of a pipe', async () => {
    const error = await rejection(pipeline(Readable.from([frames(['a']), 5]), new LengthPrefixDecoder(), devour));
    expect(error).to.deep.include({ code: 'ERR_REXPORT_INVALID_MESSAGE', type: 'number' });
    expect(() => new LengthPrefixDecoder().write(null as never)).to.throw('null');
  });
});

describe('bytes of another realm', () => {
  const foreign = (code: string): NodeJS.ArrayBufferView => vm.runInNewContext(code) as NodeJS.ArrayBufferView;

  it('are a message to the encoder, whatever their view', async () => {
    const encoder = new LengthPrefixEncoder();
    encoder.write(foreign('new Uint8Array([65])'));
    encoder.write(foreign('new Uint16Array([0x4242])'));
    encoder.write(foreign('new DataView(new ArrayBuffer(20000))'));
    encoder.end(foreign('new Uint8Array(0)'));
    const bytes = Buffer.concat((await encoder.toArray()) as Buffer[]);
    expect(bytes.equals(frames(['A', 'BB', Buffer.alloc(20_000), '']))).to.equal(true);
  });

  it('are bytes to the decoder and to a FrameParser, and to encodeFrame', async () => {
    const frame = '[0, 0, 0, 2, 104, 105]';
    const decoder = new LengthPrefixDecoder();
    decoder.write(foreign(`new Uint8Array(${frame})`));
    decoder.write(foreign(`new DataView(new Uint8Array(${frame}).buffer)`));
    decoder.end(foreign(`new Uint8Array(${frame})`));
    expect(texts((await decoder.toArray()) as Buffer[])).to.deep.equal(['hi', 'hi', 'hi']);
    const parser = new FrameParser();
    parser.write(foreign(`new Uint8Array(${frame})`) as Uint8Array);
    expect(parser.next()?.toString()).to.equal('hi');
    expect(encodeFrame(foreign('new Uint8Array([65])')).toString('latin1')).to.equal('\0\0\0\x01A');
  });

  it('pass a pipeline of both codecs', async () => {
    const source = Readable.from([foreign('new Uint8Array([65])'), foreign('new Uint8Array([66, 67])')]);
    const decoder = new LengthPrefixDecoder();
    const got: Buffer[] = [];
    await pipeline(source, new LengthPrefixEncoder(), decoder, async (messages: AsyncIterable<Buffer>) => {
      for await (const message of messages) got.push(message);
    });
    expect(texts(got)).to.deep.equal(['A', 'BC']);
  });
});

describe('memory of its own', () => {
  it('is what encodeFrame gives: nobody else has bytes in it', () => {
    for (const format of [{}, { prefix: 'varint' as const }]) {
      const frame = encodeFrame('a message', format);
      expect(frame.buffer.byteLength).to.equal(frame.length);
    }
  });

  it('is what `copy: true` gives, also for a message that was split', () => {
    const bytes = frames(['one', 'two', 'three']);
    const parser = new FrameParser({ copy: true });
    const messages: Buffer[] = [];
    for (const chunk of [bytes.subarray(0, 9), bytes.subarray(9)]) {
      parser.write(chunk);
      for (let one = parser.next(); one !== undefined; one = parser.next()) messages.push(one);
    }
    expect(texts(messages)).to.deep.equal(['one', 'two', 'three']);
    expect(messages.map((one) => one.buffer.byteLength - one.length)).to.deep.equal([0, 0, 0]);
  });
});

function read(stream: Readable): Buffer | null {
  return stream.read() as Buffer | null;
}

async function devour(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const message of messages) void message;
}
