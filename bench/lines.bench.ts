/** Bytes to lines, nothing else: chunks of 64 KiB from memory, as a pipe would deliver them, and a listener that counts. */
import { createInterface } from 'node:readline';
import { Readable, type Transform } from 'node:stream';
import { FrameDecoder, lines } from '../lib';
import type { Bench, Contender, Question, Run } from './harness';

const CHUNK_BYTES = 64 * 1024;
const BATCH_BYTES = 4 * 1024 * 1024;

interface Batch {
  readonly chunks: readonly Buffer[];
  readonly lines: number;
}

/** Whole lines, cut without regard to them; the bytes of a line include its end. */
function batchOf(lineBytes: number): Batch {
  const count = Math.ceil(BATCH_BYTES / lineBytes);
  const bytes = Buffer.from(`${'x'.repeat(lineBytes - 1)}\n`.repeat(count));
  const chunks = Array.from({ length: Math.ceil(bytes.length / CHUNK_BYTES) }, (_, i) =>
    Buffer.from(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)),
  );
  return { chunks, lines: count };
}

/** The same driver for both streams: write until it is full, go on at `drain`, count at `data`. */
function stream(lineBytes: number, make: () => Promise<Transform> | Transform): Contender {
  return ({ size }): Run => {
    const batch = batchOf(lineBytes);
    const total = batch.chunks.length * size;
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
      expectAll(seen, batch.lines * size);
    };
  };
}

function expectAll(seen: number, wanted: number): void {
  if (seen !== wanted) throw new Error(`expected ${wanted} lines, got ${seen}`);
}

function question(lineBytes: number, size: number, wanted: number): Question {
  return {
    title: `lines of ${lineBytes} bytes from chunks of 64 KiB (size: batches of 4 MiB)`,
    size,
    rounds: 5,
    targets: { split2: wanted, readline: wanted },
    contenders: {
      'FrameDecoder, lines()': stream(lineBytes, () => new FrameDecoder(lines())),
      split2: stream(lineBytes, async () => {
        // @ts-expect-error it has no declarations
        const { default: split2 } = (await import('split2')) as { default: () => Transform };
        return split2();
      }),
      readline: ({ size: batches }): Run => {
        const batch = batchOf(lineBytes);
        function* source(): Generator<Buffer> {
          for (let i = 0; i < batches; i++) yield* batch.chunks;
        }
        return async () => {
          let seen = 0;
          const input = createInterface({ input: Readable.from(source(), { objectMode: false }) });
          input.on('line', () => seen++);
          await new Promise((resolve) => input.once('close', resolve));
          expectAll(seen, batch.lines * batches);
        };
      },
    },
  };
}

export const bench: Bench = {
  '100': question(100, 40, 1),
  '10': question(10, 10, 1.2),
};
