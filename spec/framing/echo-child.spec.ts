import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import type { FrameFormat } from '../../lib/framing/format';
import { LengthPrefixDecoder } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { pattern } from '../support/frames';
import { stressed } from '../support/stress';

const SIZES = [
  0,
  1,
  10,
  13,
  64,
  127,
  128,
  255,
  256,
  1023,
  1024,
  4095,
  4096,
  4097,
  32767,
  32768,
  65535,
  65536,
  65537,
  100_000,
  1 << 20,
  ...stressed([8 << 20], []),
];

describe('through a child that echoes bytes', () => {
  for (const packet of [4, 2, 1] as const) {
    const sizes = SIZES.filter((size) => packet === 4 || size < 256 ** packet);
    it(`a message of N bytes returns byte-equal with a ${packet}-byte header, for N of ${sizes.length} sizes`, async () => {
      const messages = sizes.map(pattern);
      const echoed = await echo(messages, { packet });
      expect(echoed.map(({ length }) => length)).to.deep.equal(sizes);
      expect(echoed.every((message, i) => message.equals(messages[i] as Buffer))).to.equal(true);
    });
  }

  it('all 256 byte values pass through in both directions', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    expect(await echo([all], {})).to.deep.equal([all]);
  });
});

async function echo(messages: readonly Buffer[], format: FrameFormat): Promise<Buffer[]> {
  const { stdin, stdout } = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  const echoed: Buffer[] = [];
  await Promise.all([
    pipeline(Readable.from(messages), new LengthPrefixEncoder(format), stdin),
    pipeline(stdout, new LengthPrefixDecoder(format), async (source: AsyncIterable<Buffer>) => {
      for await (const message of source) echoed.push(message);
    }),
  ]);
  return echoed;
}
