/** Very many requests in flight take time in proportion to their number. */
import { expect } from 'chai';
import { Port, PortPool } from '../../../lib';
import { cpuMsOf, tallyOf, type AnyPort } from '../../support/port-edges';
import { rejection } from '../../support/streams';
import { stressed } from '../../support/stress';

const MANY = stressed(100_000, 16_000);
const FEW = MANY / 8;
/** Eight times as many may take twenty times as long: what grows with the square takes sixty-four times. */
const MOST_TIMES = 20;
/** What is so short is all noise. */
const LEAST_MS = stressed(20, 10);

async function expectLinear(run: (count: number) => Promise<unknown>): Promise<void> {
  const { stackTraceLimit } = Error;
  // the stack of each error would take longer than all that is measured here
  Error.stackTraceLimit = 0;
  try {
    await run(FEW);
    let many = await cpuMsOf(() => run(MANY));
    // after the many: what is compiled meanwhile would make the few look dear, and the many cheap beside them
    const few = Math.max(LEAST_MS, Math.min(await cpuMsOf(() => run(FEW)), await cpuMsOf(() => run(FEW))));
    // the better of two: the second one only where the first does not do
    if (many / few >= MOST_TIMES) many = Math.min(many, await cpuMsOf(() => run(MANY)));
    expect(many / few, `${FEW}: ${few} ms, ${MANY}: ${many} ms`).to.be.below(MOST_TIMES);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

describe(`${MANY} requests in flight settle in time in proportion to their number`, function () {
  this.timeout(180_000);

  type Maker = readonly [what: string, make: () => AnyPort];
  const inFlight: Maker = ['of a Port', () => new Port('cat', { maxInFlight: 200_000 })];
  const inQueue: Maker = ['in the queue of a Port', () => new Port('cat', { maxInFlight: 64 })];
  const all: Maker[] = [
    inFlight,
    ['of a PortPool', () => new PortPool('cat', { size: 2, maxInFlight: 100_000 })],
    inQueue,
  ];
  for (const [what, make] of stressed(all, [inFlight])) {
    it(`with a reply, each its own: ${what}`, () =>
      expectLinear(async (count) => {
        await using port = make();
        const replies = await Promise.all(Array.from({ length: count }, (_, n) => port.request(String(n))));
        expect(replies.every((reply, n) => String(reply) === String(n))).to.equal(true);
      }));
  }

  // one that waits in the queue is in flight later, with its deadline
  for (const [what, make] of stressed(all, [inQueue])) {
    it(`with a deadline that none of them needs: ${what}`, () =>
      expectLinear(async (count) => {
        await using port = make();
        const { signal } = new AbortController();
        const options = { signal, timeoutMs: 120_000, runTimeoutMs: 120_000 };
        await Promise.all(Array.from({ length: count }, (_, n) => port.request(String(n), options)));
        expect(port.pending).to.equal(0);
      }));
  }

  it('with the death of their child', () =>
    expectLinear(async (count) => {
      await using port = new Port('sh', ['-c', 'head -c 1000 >/dev/null; kill -9 $$'], {
        maxInFlight: 200_000,
        maxRestarts: 0,
      });
      const tally = await tallyOf(Array.from({ length: count }, () => port.request('x')));
      expect(Object.keys(tally).every((end) => end === 'EXIT' || end === 'BROKEN')).to.equal(true);
      expect(tally['EXIT']).to.be.above(0);
    }));

  it('sent again, idempotent, when their child has died', () =>
    expectLinear(async (count) => {
      await using port = new Port('cat', { maxInFlight: 200_000 });
      let pid = 0;
      port.on('spawn', (child) => (pid = child.pid!));
      await port.request('warm');
      process.kill(pid, 'SIGSTOP');
      const replies = Array.from({ length: count }, (_, n) => port.request(String(n), { idempotent: true }));
      process.kill(pid, 'SIGKILL');
      // one by one until one of them is cleared: so only a few have been written before the kill
      expect((await Promise.all(replies)).every((reply, n) => String(reply) === String(n))).to.equal(true);
    }));

  it('through transform(), with a concurrency of all of them', () =>
    expectLinear(async (count) => {
      await using port = new Port('cat', { maxInFlight: 200_000 });
      const stage = port.transform({ concurrency: count });
      for (let n = 0; n < count; n += 1) stage.write(String(n));
      stage.end();
      let next = 0;
      for await (const reply of stage) if (String(reply) === String(next)) next += 1;
      expect(next).to.equal(count);
    }));

  it('when they are refused', () =>
    expectLinear(async (count) => {
      const port = new Port('cat');
      await port.close();
      expect(await tallyOf(Array.from({ length: count }, () => port.request('x')))).to.deep.equal({ CLOSED: count });
      expect((await rejection(port.request('x'))).code).to.equal('ERR_REXPORT_CLOSED');
    }));
});
