import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { ExitError, type PortPool } from '../../lib';
import { obeyAll } from '../support/ports';
import { closed } from '../support/streams';
import { stressed } from '../support/stress';

/** What comes out, as text. */
async function through(pool: PortPool, rows: readonly string[], options = {}): Promise<string[]> {
  const replies: string[] = [];
  await pipeline(
    Readable.from(rows),
    pool.transform(options),
    new Writable({
      objectMode: true,
      write: (reply: Buffer, _encoding, callback) => {
        replies.push(String(reply));
        callback();
      },
    }),
  );
  return replies;
}

function rows(count: number, row: (n: number) => string): string[] {
  return Array.from({ length: count }, (_, n) => row(n));
}

const ROWS = stressed(400, 150);

describe('PortPool as a stage of a pipeline', () => {
  it('keeps the order, though one row in twenty takes 20 times as long', async () => {
    await using pool = obeyAll({ size: 4 });
    const replies = await through(
      pool,
      rows(ROWS, (n) => `slowly ${n % 20 === 7 ? 20 : 1} ${n}`),
    );
    expect(replies).to.deep.equal(rows(ROWS, String));
    for (const { requests } of pool.statistics().lanes) expect(requests).to.be.above(0);
  });

  it('does not hold the others up behind a slow row, as far as the window goes', async () => {
    await using pool = obeyAll({ size: 2 });
    await through(pool, ['slowly 30 a', 'slowly 30 b']);
    const transform = pool.transform();
    transform.write('slowly 60000 first');
    for (let n = 0; n < 200; n += 1) transform.write('echo x');
    // 16 x the concurrency of 2, and the slow one is one of them
    const limit = 2 * 16;
    const count = (): number => pool.statistics().requests - 2;
    while (count() < limit - 1) await turn();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(count()).to.equal(limit - 1);
    transform.destroy();
    await closed(transform);
    await pool.destroy();
  });

  it('gives replies as they come with `ordered: false`', async () => {
    await using pool = obeyAll({ size: 2 });
    await through(pool, ['slowly 30 a', 'slowly 30 b']);
    const replies = await through(pool, ['slowly 300 slow', ...rows(20, (n) => `echo ${n}`)], { ordered: false });
    expect(replies.at(-1)).to.equal('slow');
    expect(replies.slice(0, -1)).to.deep.equal(rows(20, String));
  });

  for (const [how, options] of [
    ['one in flight in each', {}],
    ['four in flight in each', { maxInFlight: 4 }],
  ] as const) {
    it(`puts aside the rows that kill a child, and answers all others in order, ${how}`, async function () {
      await using pool = obeyAll({ size: 3, ...options });
      const isDeadly = (n: number): boolean => n % 50 === 42;
      const letters: [string, Error][] = [];
      const replies = await through(
        pool,
        rows(ROWS, (n) => (isDeadly(n) ? `exit ${n % 250}` : `echo row ${n}`)),
        {
          idempotent: 'maxInFlight' in options,
          onError: (error: Error, message: string) => void letters.push([message, error]),
        },
      );
      const numbers = Array.from({ length: ROWS }, (_, n) => n);
      expect(replies).to.deep.equal(numbers.filter((n) => !isDeadly(n)).map((n) => `row ${n}`));
      expect(letters.map(([message]) => message)).to.have.members(
        numbers.filter(isDeadly).map((n) => `exit ${n % 250}`),
      );
      for (const [message, error] of letters) {
        const exit = 'maxInFlight' in options ? error.cause : error;
        expect(exit)
          .to.be.instanceOf(ExitError)
          .and.include({ exitCode: Number(message.slice(5)) });
      }
      expect(pool.state).to.be.oneOf(['ready', 'starting']);
    });
  }

  const some: readonly (readonly [ordered: boolean, maxInFlight: number])[] = [
    [false, 1],
    [true, 3],
  ];
  for (const [ordered, maxInFlight] of [...some, ...stressed([[true, 1] as const], [])]) {
    it(`is bounded between a fast source and a sink that stands still: ordered ${ordered}, ${maxInFlight} in flight`, async () => {
      await using pool = obeyAll({ size: 4, maxInFlight });
      const concurrency = 4 * maxInFlight;
      const transform = pool.transform({ ordered });
      let taken = 0;
      const endless = function* (): Generator<string> {
        for (;;) yield `echo ${taken++}`;
      };
      const source = Readable.from(endless());
      let mostPending = 0;
      let mostQueued = 0;
      source.pipe(transform);
      for (let asked = -1, quiet = 0; quiet < 50; quiet += 1) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        mostPending = Math.max(mostPending, pool.pending);
        mostQueued = Math.max(mostQueued, pool.queued);
        const { requests } = pool.statistics();
        if (requests !== asked) quiet = 0;
        asked = requests;
      }
      // in the children and before them, what the options say; none of it twice
      expect(mostPending).to.be.at.most(concurrency);
      expect(mostQueued).to.be.at.most(concurrency);
      expect(pool.pending).to.equal(0);
      // the window, and what lies ready for the reader, the writer and the source
      const held = 16 * concurrency + transform.readableHighWaterMark + transform.writableHighWaterMark;
      expect(taken).to.be.within(16 * concurrency, held + source.readableHighWaterMark + 2);
      expect(transform.readableLength).to.be.at.most(transform.readableHighWaterMark);
      source.destroy();
      transform.destroy();
      await closed(transform);
    });
  }
});
