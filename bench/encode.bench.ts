/** Messages to bytes, nothing else: a source that writes until told to wait, and a listener that counts bytes. */
import { Transform, type TransformCallback } from 'node:stream';
import { LengthPrefixEncoder } from '../lib';
import type { Bench, Contender, Question, Run } from './harness';

/** Every run counts what comes out, so that nobody gets away with less. */
function stream(messageBytes: number, prefixBytes: number, make: () => Promise<Transform> | Transform): Contender {
  return ({ size }): Run => {
    const message = Buffer.alloc(messageBytes, 'x');
    return async () => {
      const encoder = await make();
      let written = 0;
      let bytes = 0;
      const write = (): void => {
        while (written < size) {
          written++;
          if (!encoder.write(message)) {
            encoder.once('drain', write);
            return;
          }
        }
        encoder.end();
      };
      await new Promise((resolve, reject) => {
        encoder.on('data', (chunk: Buffer) => (bytes += chunk.length));
        encoder.once('end', resolve).once('error', reject);
        write();
      });
      if (bytes !== size * (prefixBytes + messageBytes)) throw new Error(`got ${bytes} bytes`);
    };
  };
}

/** The one anybody would write first. */
export class TwoPush extends Transform {
  constructor() {
    super({ writableObjectMode: true });
  }

  override _transform(message: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(message.length);
    this.push(header);
    this.push(message);
    callback();
  }
}

function question(messageBytes: number, size: number): Question {
  const varintBytes = messageBytes < 128 ? 1 : messageBytes < 16_384 ? 2 : 3;
  return {
    title: `messages of ${messageBytes} bytes through an encoder`,
    size,
    rounds: 5,
    contenders: {
      LengthPrefixEncoder: stream(messageBytes, 4, () => new LengthPrefixEncoder()),
      'two pushes': stream(messageBytes, 4, () => new TwoPush()),
      'frame-stream': stream(messageBytes, 4, async () => {
        const { encode } = (await import('frame-stream')) as unknown as {
          encode(this: void, options: object): Transform;
        };
        return encode({ maxSize: 0 });
      }),
      'length-prefixed-stream': stream(messageBytes, varintBytes, async () => {
        // @ts-expect-error it has no declarations
        const { encode } = ((await import('length-prefixed-stream')) as { default: { encode(this: void): Transform } })
          .default;
        return encode();
      }),
    },
  };
}

export const bench: Bench = {
  '64': question(64, 1_000_000),
  '1024': question(1024, 500_000),
  '65536': question(65_536, 100_000),
};
