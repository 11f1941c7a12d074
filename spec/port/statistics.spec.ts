import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import { Port, type PortStatistics } from '../../lib';
import { Histogram } from '../../lib/port/statistics';
import { Stopwatch } from '../../lib/port/statistics';
import type { StatisticsTrace } from '../../lib/trace';
import { ask, obeyAll, obeys } from '../support/ports';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

const nothing = { mean: 0, p50: 0, p99: 0 };

describe('what a port says of its options', () => {
  it('is how many requests its children hold together, and the deadlines of a request', () => {
    const pool = obeyAll({ size: 3, maxInFlight: 4, requestTimeoutMs: 500 });
    expect(pool).to.include({ capacity: 12, requestTimeoutMs: 500, runTimeoutMs: undefined });
    const port = new Port('cat', { maxInFlight: 2, runTimeoutMs: 20 });
    expect(port).to.include({ capacity: 2, requestTimeoutMs: undefined, runTimeoutMs: 20 });
    expect(new Port('cat').capacity).to.equal(1);
  });
});

describe('statistics()', () => {
  it('is a plain object, all zero before the first request', () => {
    const pool = obeyAll({ size: 2 });
    const zero = {
      requests: 0,
      failures: 0,
      restarts: 0,
      busyMs: 0,
      queueWaitMs: nothing,
      runMs: nothing,
      lateReplies: 0,
      bytesWritten: 0,
      bytesRead: 0,
    };
    const statistics = pool.statistics();
    expect(statistics).to.deep.equal({
      ...zero,
      lanes: [0, 1].map((lane) => ({ lane, state: 'idle', ...zero })),
    });
    expect(JSON.parse(JSON.stringify(statistics))).to.deep.equal(statistics);
  });

  it('counts requests, failures, restarts and bytes, by lane and in total', async () => {
    await using pool = obeyAll({ size: 2 });
    await Promise.all([ask(pool, 'slowly 50 a'), ask(pool, 'slowly 50 b')]);
    await Promise.all([ask(pool, 'slowly 50 ccc'), rejection(ask(pool, 'exit 3'))]);
    while (pool.statistics().lanes[1]?.state !== 'ready') await ask(pool, 'slowly 1 d');
    const { lanes, ...total } = pool.statistics();
    expect(lanes[1]).to.include({ failures: 1, restarts: 1 });
    expect(lanes[0]).to.include({ failures: 0, restarts: 0 });
    expect(total).to.include({ failures: 1, restarts: 1 });
    expect(total.requests).to.equal((lanes[0]?.requests ?? 0) + (lanes[1]?.requests ?? 0));
    expect(lanes[1]?.requests).to.equal(2);
    // each with 4 bytes of a prefix: `slowly 50 b`, `exit 3`; `b`
    expect(lanes[1]).to.include({ bytesWritten: 4 + 11 + 4 + 6, bytesRead: 4 + 1 });
    expect(total.bytesWritten).to.equal((lanes[0]?.bytesWritten ?? 0) + 25);
  });

  it('tells how long requests waited and ran, and how long children worked', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const { busyMs: before } = port.statistics();
    // one after another, in one child: the last waits for the others
    await Promise.all(Array.from({ length: 4 }, () => ask(port, 'slowly 60 x')));
    const { queueWaitMs, runMs, busyMs, lanes } = port.statistics();
    expect(runMs.p50).to.be.within(58, 400);
    expect(queueWaitMs.p99).to.be.within(170, 1500);
    expect(queueWaitMs.p50).to.be.below(queueWaitMs.p99);
    expect(busyMs - before).to.be.within(235, 1500);
    expect(lanes[0]?.busyMs).to.equal(busyMs);
  });

  it('counts the time of a child with several in flight once', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const startedAt = performance.now();
    const { busyMs: before } = port.statistics();
    await Promise.all(['slowly 100 a', 'slowly 1 b', 'slowly 50 c', 'echo d'].map((message) => ask(port, message)));
    const tookMs = performance.now() - startedAt;
    const { busyMs } = port.statistics();
    expect(busyMs - before).to.be.within(145, tookMs + 1);
  });

  it('counts in the total alone what failed in the queue', async () => {
    await using pool = obeyAll({ size: 1 });
    const slow = ask(pool, 'slowly 100 x');
    await rejection(ask(pool, 'echo y', { timeoutMs: 5 }));
    await slow;
    const { requests, failures, lanes } = pool.statistics();
    expect({ requests, failures }).to.deep.equal({ requests: 2, failures: 1 });
    expect(lanes[0]).to.include({ requests: 1, failures: 0 });
  });

  it('counts a request that was sent again once, for the lane that had it last', async () => {
    await using pool = obeyAll({ size: 1, maxInFlight: 2 });
    await ask(pool, 'echo warm');
    const fatal = rejection(ask(pool, 'exit 1', { idempotent: true }));
    expect(await ask(pool, 'echo again', { idempotent: true })).to.equal('again');
    await fatal;
    expect(pool.statistics()).to.include({ requests: 3, failures: 1, restarts: 2 });
  });

  it('counts no time of a request that went back to the queue, until a child has it again', async () => {
    const port = obeys({ backoff: { minMs: 2 ** 30, maxMs: 2 ** 30 }, minUptimeMs: 60_000 });
    const again = rejection(ask(port, 'exit 1', { idempotent: true }));
    await once(port, 'restart');
    expect(port).to.include({ state: 'backoff', queued: 1 });
    const { busyMs } = port.statistics();
    await delay(5);
    expect(port.statistics().busyMs).to.equal(busyMs).and.to.be.above(0);
    await port.destroy();
    await again;
  });

  it('keeps counting the bytes of children that are gone', async () => {
    await using port = new Port('cat', { maxRequests: 5 });
    for (let n = 0; n < 30; n += 1) await port.request('12345');
    expect(port.restarts).to.be.above(0);
    expect(port.statistics()).to.include({ bytesWritten: 30 * 9, bytesRead: 30 * 9 });
  });

  const requested = stressed(20_000, 2000);
  for (const maxInFlight of stressed([1, 64, 1000], [1, 64])) {
    it(`samples the times of very many requests, and counts all of them: ${maxInFlight} in flight`, async () => {
      await using port = new Port('cat', { maxInFlight });
      await port.request('warm');
      const before = port.statistics().busyMs;
      const startedAt = performance.now();
      await Promise.all(Array.from({ length: requested }, () => port.request('x')));
      const tookMs = performance.now() - startedAt;
      const { requests, busyMs, runMs, bytesRead } = port.statistics();
      expect({ requests, bytesRead }).to.deep.equal({ requests: requested + 1, bytesRead: 5 * requested + 8 });
      expect(runMs.mean).to.be.above(0);
      // with one in flight it was at work while we were not, and the other way round
      expect(busyMs - before).to.be.within(tookMs * 0.2, tookMs);
    });
  }
});

describe('rexport:statistics', () => {
  /** What is published while `action` runs. */
  async function published(action: () => Promise<void>): Promise<StatisticsTrace[]> {
    const facts: StatisticsTrace[] = [];
    const note = (fact: unknown): void => void facts.push(fact as StatisticsTrace);
    subscribe('rexport:statistics', note);
    try {
      await action();
    } finally {
      unsubscribe('rexport:statistics', note);
    }
    return facts;
  }

  it('carries them when requests begin and when the port is closed', async () => {
    const pool = obeyAll({ size: 2 });
    const facts = await published(async () => {
      await ask(pool, 'echo a');
      await ask(pool, 'echo b');
      await pool.close();
    });
    expect(facts.map(({ command }) => command)).to.deep.equal(['perl', 'perl']);
    expect(facts[1]?.statistics).to.deep.equal(pool.statistics());
    expect((facts[1]?.statistics as PortStatistics).requests).to.equal(2);
  });

  it('carries them once a second while the port is asked', async () => {
    const facts = await published(async () => {
      const port = obeys();
      const startedAt = performance.now();
      while (performance.now() - startedAt < 1100) await ask(port, 'slowly 5 x');
      await port.close();
    });
    // the first, one after a second, the last; a busy machine may make it longer
    expect(facts).to.have.length.within(3, 5);
  });
});

describe('Histogram', () => {
  it('gives the mean, and percentiles true to 2 %', () => {
    const histogram = new Histogram();
    for (let ms = 1; ms <= 10_000; ms += 1) histogram.record(ms / 10);
    const { mean, p50, p99 } = histogram.distribution;
    expect(mean).to.be.closeTo(500.05, 1e-6);
    expect(p50).to.be.closeTo(500, 10);
    expect(p99).to.be.closeTo(990, 20);
  });

  it('is true to 2 % from a microsecond to half an hour', () => {
    for (let ms = 0.001; ms < 1_800_000; ms *= 1.37) {
      const histogram = new Histogram();
      histogram.record(ms);
      expect(histogram.distribution.p99, `${ms} ms`).to.be.closeTo(ms, Math.max(ms * 0.02, 0.0006));
    }
  });

  it('takes what is longer, and what is nothing', () => {
    const histogram = new Histogram();
    histogram.record(0);
    histogram.record(1e9);
    expect(histogram.distribution.p50).to.equal(0);
    expect(histogram.distribution.p99).to.be.closeTo(2 ** 31 / 1000, 40_000);
    expect(histogram.distribution.mean).to.equal(5e8);
  });

  it('adds up', () => {
    const [one, other] = [new Histogram(), new Histogram()];
    for (let ms = 1; ms <= 50; ms += 1) one.record(ms);
    for (let ms = 51; ms <= 100; ms += 1) other.record(ms);
    one.add(other);
    expect(one.count).to.equal(100);
    expect(one.distribution.p50).to.be.closeTo(50, 1);
    expect(one.distribution.mean).to.be.closeTo(50.5, 1e-9);
  });
});

describe('Stopwatch', () => {
  it('times all of a few, and a part of very many', () => {
    const stopwatch = new Stopwatch();
    const timed = Array.from({ length: 100_000 }, () => stopwatch.sample() !== undefined);
    expect(timed.slice(0, 1000).every(Boolean)).to.equal(true);
    expect(timed.filter(Boolean).length).to.be.below(10_000);
    expect(timed.slice(-1000).some(Boolean)).to.equal(true);
  });

  it('gives each that it times the weight of those that it passed over, so that all are counted', () => {
    const stopwatch = new Stopwatch();
    let weights = 0;
    for (let asked = 1; asked <= 100_000; asked += 1) {
      const sample = stopwatch.sample();
      if (sample === undefined) continue;
      weights += sample.weight;
      expect(weights).to.equal(asked);
    }
    expect(weights).to.be.above(90_000);
  });
});
