/** A request owns its bytes: a caller may change a message of up to 16 KiB right after the call, wherever it waits. */
import { once, type EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { Port, PortPool, type Message, type PortOptions } from '../../../lib';
import { pattern } from '../../support/frames';
import { program } from '../../support/ports';
import { sh } from '../../support/streams';
import { stressed } from '../../support/stress';

const OWNED_BYTES = 16 * 1024;
const SIZES = [1, 100, 4096, OWNED_BYTES - 1, OWNED_BYTES];

/** Asks with a message that is overwritten right after the call, and looks at the reply. */
async function askAndOverwrite(
  port: { request: Port['request'] },
  bytes: number,
  options?: Parameters<Port['request']>[1],
): Promise<void> {
  const message = pattern(bytes);
  const original = Buffer.from(message);
  const reply = port.request(message, options);
  message.fill(0xee);
  expect((await reply).equals(original), `${bytes} bytes`).to.equal(true);
}

describe('a message that its caller overwrites right after request(), up to 16 KiB', () => {
  for (const maxInFlight of stressed([1, 4, 64], [1, 64])) {
    const make = (options: PortOptions = {}): Port => new Port('cat', { maxInFlight, ...options });

    it(`goes out as it was, to an idle child: ${maxInFlight} in flight`, async () => {
      await using port = make();
      await port.request('warm');
      for (const bytes of SIZES) await askAndOverwrite(port, bytes);
    });

    it(`goes out as it was, behind others in flight and in the queue: ${maxInFlight} in flight`, async () => {
      await using port = make();
      await port.request('warm');
      await Promise.all(Array.from({ length: 100 }, (_, n) => askAndOverwrite(port, SIZES[n % SIZES.length]!)));
    });

    it(`goes out as it was, before there is a child: ${maxInFlight} in flight`, async () => {
      await using port = make();
      await Promise.all(SIZES.map((bytes) => askAndOverwrite(port, bytes)));
    });
  }

  it('goes out as it was, behind a full pipe that the child does not read yet', async () => {
    const go = path.join(mkdtempSync(path.join(tmpdir(), 'port-')), 'go');
    await using port = new Port(...sh(`until [ -e ${go} ]; do sleep 0.02; done; exec cat`), { maxInFlight: 64 });
    await port.start();
    const large = Buffer.alloc(1_000_000, 'L');
    const first = port.request(large);
    const others = Array.from({ length: 40 }, (_, n) => askAndOverwrite(port, SIZES[n % SIZES.length]!));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const more = Array.from({ length: 10 }, () => askAndOverwrite(port, 5000));
    writeFileSync(go, '');
    expect((await first).equals(large)).to.equal(true);
    await Promise.all([...others, ...more]);
    rmSync(path.dirname(go), { recursive: true });
  });

  it('goes out as it was, again, to the next child when the first one died with it', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    for (const maxInFlight of [1, 4]) {
      const once = path.join(directory, String(maxInFlight));
      await using port = new Port(...sh(`mkdir ${once} 2>/dev/null && { head -c 5 >/dev/null; exit 1; }; exec cat`), {
        maxInFlight,
        backoff: { minMs: 1, maxMs: 2 },
      });
      await port.start();
      await Promise.all(SIZES.map((bytes) => askAndOverwrite(port, bytes, { idempotent: true })));
      expect([existsSync(once), port.restarts]).to.deep.equal([true, 1]);
    }
    rmSync(directory, { recursive: true });
  });

  it('goes out as it was, though it was handed back by a planned replacement', async () => {
    await using port = new Port('perl', [program('obeys.pl')], { maxInFlight: 1, maxRequests: 3 });
    const count = stressed(40, 10);
    const replies = Array.from({ length: count }, (_, n) => {
      const message = Buffer.from(`echo ${String(n).padStart(4, '0')}`);
      const reply = port.request(message);
      message.fill(0x7a);
      return reply;
    });
    const texts = (await Promise.all(replies)).map((reply) => Number(String(reply)));
    expect(texts).to.deep.equal(Array.from({ length: count }, (_, n) => n));
  });

  it('goes out as it was, when it waits for a restart', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port(...sh(`mkdir ${directory}/once 2>/dev/null && exit 1; exec cat`), {
      backoff: { minMs: 100, maxMs: 100 },
    });
    port.restart();
    await once(port as EventEmitter, 'restart');
    await Promise.all(SIZES.map((bytes) => askAndOverwrite(port, bytes)));
    rmSync(directory, { recursive: true });
  });

  it('goes out as it was, in a pool', async () => {
    await using pool = new PortPool('cat', { size: 3, maxInFlight: 2 });
    await Promise.all(Array.from({ length: 60 }, (_, n) => askAndOverwrite(pool, SIZES[n % SIZES.length]!)));
  });

  it('as any view: each is the bytes that it showed at the call', async () => {
    await using port = new Port('cat');
    const memory = new Uint8Array(64).map((_, n) => n);
    const views: Message[] = [
      memory.subarray(3, 9),
      new DataView(memory.buffer, 8, 5),
      new Uint16Array(memory.buffer, 16, 4),
      new Uint8ClampedArray(memory.buffer, 40, 3),
    ];
    const replies = views.map((view) => port.request(view));
    memory.fill(0xff);
    const expected = [
      [3, 4, 5, 6, 7, 8],
      [8, 9, 10, 11, 12],
      [16, 17, 18, 19, 20, 21, 22, 23],
      [40, 41, 42],
    ];
    expect((await Promise.all(replies)).map((reply) => [...reply])).to.deep.equal(expected);
  });

  it('as what `encode` gives, from one scratch buffer for all of them', async () => {
    const scratch = Buffer.alloc(8);
    for (const maxInFlight of [1, 8]) {
      await using port = new Port<number, number>('cat', {
        maxInFlight,
        encode: (row) => {
          scratch.writeDoubleBE(row);
          return scratch;
        },
        decode: (message) => message.readDoubleBE(),
      });
      const rows = Array.from({ length: 200 }, (_, n) => n);
      expect(await Promise.all(rows.map((row) => port.request(row)))).to.deep.equal(rows);
    }
  });
});

describe('transform(): once a write is acknowledged, its source may use the chunk again', () => {
  // more than are in flight, whatever the concurrency: some wait in the queue, some in the stage
  const ROWS = stressed(500, 150);

  for (const concurrency of stressed([1, 8, 100], [8, 100])) {
    it(`one buffer for all rows, with a concurrency of ${concurrency}: each row has its own reply`, async () => {
      await using port = new Port('cat', { maxInFlight: 4 });
      const stage = port.transform({ concurrency });
      const got: number[] = [];
      const sink = new Writable({
        objectMode: true,
        write(reply: Buffer, _encoding, callback) {
          got.push(reply.readUInt32BE());
          callback();
        },
      });
      stage.pipe(sink);
      const buffer = Buffer.alloc(64);
      for (let n = 0; n < ROWS; n += 1) {
        buffer.fill(n & 0xff);
        buffer.writeUInt32BE(n);
        await new Promise<void>((resolve, reject) => {
          stage.write(buffer, (error) => (error ? reject(error) : resolve()));
        });
      }
      stage.end();
      await once(sink, 'finish');
      expect(got).to.deep.equal(Array.from({ length: ROWS }, (_, n) => n));
    });
  }

  it('the same in a pool whose children are replaced all the time, with idempotent rows', async () => {
    const count = stressed(300, 60);
    await using pool = new PortPool('cat', { size: 2, maxInFlight: 2, maxRequests: stressed(20, 10) });
    const stage = pool.transform({ concurrency: 8, idempotent: true });
    const got: number[] = [];
    const read = (async () => {
      for await (const reply of stage) got.push(reply.readUInt32BE());
    })();
    const buffer = Buffer.alloc(16);
    for (let n = 0; n < count; n += 1) {
      buffer.writeUInt32BE(n);
      await new Promise((resolve) => stage.write(buffer, resolve));
    }
    stage.end();
    await read;
    expect(got).to.deep.equal(Array.from({ length: count }, (_, n) => n));
  });
});

describe('a reply is its receiver’s own', () => {
  it('what it does with one changes no other, though they came in one chunk', async () => {
    await using port = new Port('cat', { maxInFlight: 64 });
    const replies = Array.from({ length: 200 }, async (_, n) => {
      const reply = await port.request(`row ${n}`);
      const text = String(reply);
      reply.fill(0x21);
      return text;
    });
    expect(await Promise.all(replies)).to.deep.equal(Array.from({ length: 200 }, (_, n) => `row ${n}`));
  });
});
