/** Bytes to messages, nothing else: chunks of 64 KiB from memory, as a pipe would deliver them, and a listener that counts. */
import { Transform, type TransformCallback } from 'node:stream';
import { encodeFrame, LengthPrefixDecoder } from '../lib';
import type { FrameFormat } from '../lib';
import type { Bench, Contender, Question, Run, Work } from './harness';

const CHUNK_BYTES = 64 * 1024;
const BATCH_BYTES = 4 * 1024 * 1024;

interface Batch {
  readonly chunks: readonly Buffer[];
  readonly messages: number;
}

/** Whole frames, cut without regard to them. */
function batchOf(messageBytes: number, format: FrameFormat): Batch {
  const messages = Math.ceil(BATCH_BYTES / messageBytes);
  const bytes = Buffer.concat(Array<Buffer>(messages).fill(encodeFrame(Buffer.alloc(messageBytes, 'x'), format)));
  const chunks = Array.from({ length: Math.ceil(bytes.length / CHUNK_BYTES) }, (_, i) =>
    bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
  );
  return { chunks, messages };
}

function expectAll(seen: number, { messages }: Batch, { size }: Work): void {
  if (seen !== messages * size) throw new Error(`expected ${messages * size} messages, got ${seen}`);
}

/** The same driver for every stream: write until it is full, go on at `drain`, count at `data`. */
function stream(messageBytes: number, format: FrameFormat, make: () => Promise<Transform> | Transform): Contender {
  return (work): Run => {
    const batch = batchOf(messageBytes, format);
    const total = batch.chunks.length * work.size;
    return async () => {
      const decoder = await make();
      let written = 0;
      let seen = 0;
      const write = (): void => {
        while (written < total) {
          if (!decoder.write(batch.chunks[written++ % batch.chunks.length])) {
            decoder.once('drain', write);
            return;
          }
        }
        decoder.end();
      };
      await new Promise((resolve, reject) => {
        decoder.on('data', () => seen++);
        decoder.once('end', resolve).once('error', reject);
        write();
      });
      expectAll(seen, batch, work);
    };
  };
}

/** What there is to do at least: no streams, no back-pressure, no limit. */
function bareLoop(messageBytes: number): Contender {
  return (work): Run => {
    const batch = batchOf(messageBytes, {});
    return async () => {
      let seen = 0;
      let rest: Buffer = Buffer.alloc(0);
      const deliver = (message: Buffer): void => {
        if (message.length === messageBytes) seen++;
      };
      for (let i = 0; i < work.size; i++) {
        for (const chunk of batch.chunks) {
          const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
          let at = 0;
          while (at + 4 <= bytes.length) {
            const end = at + 4 + bytes.readUInt32BE(at);
            if (end > bytes.length) break;
            deliver(bytes.subarray(at + 4, end));
            at = end;
          }
          rest = bytes.subarray(at);
        }
      }
      expectAll(seen, batch, work);
    };
  };
}

/** The one anybody would write first. */
class PlainTransform extends Transform {
  #rest: Buffer = Buffer.alloc(0);

  constructor() {
    super({ readableObjectMode: true });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    let bytes = Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
      const end = 4 + bytes.readUInt32BE(0);
      this.push(bytes.subarray(4, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
    callback();
  }
}

function question(messageBytes: number, size: number, best: number): Question {
  const varint = { prefix: 'varint' } as const;
  return {
    title: `batches of 4 MiB of messages of ${messageBytes} bytes, decoded from chunks of 64 KiB`,
    size,
    rounds: 5,
    targets: { 'length-prefixed-stream': best, 'frame-stream': best, 'it-length-prefixed': best, 'bare loop': 0.5 },
    contenders: {
      LengthPrefixDecoder: stream(messageBytes, {}, () => new LengthPrefixDecoder()),
      'LengthPrefixDecoder, varint': stream(messageBytes, varint, () => new LengthPrefixDecoder(varint)),
      'bare loop': bareLoop(messageBytes),
      'plain Transform': stream(messageBytes, {}, () => new PlainTransform()),
      'frame-stream': stream(messageBytes, {}, async () => {
        const { decode } = (await import('frame-stream')) as unknown as {
          decode(this: void, options: object): Transform;
        };
        return decode({ maxSize: 0 });
      }),
      'length-prefixed-stream': stream(messageBytes, varint, async () => {
        // @ts-expect-error it has no declarations
        const { decode } = ((await import('length-prefixed-stream')) as { default: { decode(this: void): Transform } })
          .default;
        return decode();
      }),
      'it-length-prefixed': async (work) => {
        const { decode } = await import('it-length-prefixed');
        const batch = batchOf(messageBytes, varint);
        function* source(): Generator<Buffer> {
          for (let i = 0; i < work.size; i++) yield* batch.chunks;
        }
        return async () => {
          let seen = 0;
          // A list of views per message: `subarray` makes one of it.
          for (const message of decode(source())) seen += message.subarray().length === messageBytes ? 1 : 0;
          expectAll(seen, batch, work);
        };
      },
    },
  };
}

export const bench: Bench = {
  '16': question(16, 16, 1.5),
  '256': question(256, 100, 1.5),
  '4096': question(4096, 300, 1.2),
  '60000': question(60_000, 500, 1),
};
