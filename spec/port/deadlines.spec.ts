import { expect } from 'chai';
import { Deadlines } from '../../lib/port/deadlines';

/** Calls back with what is due, and gives promises of it. */
function watched(): { deadlines: Deadlines<string>; due: string[][]; until: (count: number) => Promise<void> } {
  const due: string[][] = [];
  let look = (): void => undefined;
  const deadlines = new Deadlines<string>((items) => {
    due.push(items);
    look();
  });
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      // the timers of deadlines keep no process
      const keepAlive = setInterval(() => undefined, 1000);
      look = () => {
        if (due.flat().length < count) return;
        clearInterval(keepAlive);
        resolve();
      };
      look();
    });
  return { deadlines, due, until };
}

describe('deadlines', () => {
  it('are due in their order, those of one moment together', async () => {
    const { deadlines, due, until } = watched();
    const nowMs = performance.now();
    for (const name of ['a', 'b', 'c']) deadlines.set(name, 20, nowMs);
    deadlines.set('d', 60, nowMs);
    await until(4);
    expect(due).to.deep.equal([['a', 'b', 'c'], ['d']]);
    deadlines.end();
  });

  it('that differ by less than a millisecond, which timers cannot tell apart, are due together', async () => {
    const { deadlines, due, until } = watched();
    const clock = performance.now.bind(performance);
    try {
      performance.now = () => 1000;
      deadlines.set('a', 5, 1000);
      deadlines.set('b', 5, 1000.9);
      deadlines.set('c', 5, 1001.5);
      performance.now = () => 1005;
      await until(1);
      expect(due).to.deep.equal([['a', 'b']]);
      performance.now = () => 1007;
      await until(3);
    } finally {
      performance.now = clock;
    }
    expect(due).to.deep.equal([['a', 'b'], ['c']]);
    deadlines.end();
  });

  it('never come before their time, but for the millisecond of a timer', async () => {
    const { deadlines, until } = watched();
    const setAt = performance.now();
    const deadline = deadlines.set('a', 30, setAt);
    expect(deadline.atMs).to.equal(setAt + 30);
    await until(1);
    expect(performance.now() - setAt).to.be.at.least(29);
    deadlines.end();
  });

  it('are not due once they are cleared, and others behind them are', async () => {
    const { deadlines, due, until } = watched();
    const nowMs = performance.now();
    const cleared = deadlines.set('a', 20, nowMs);
    deadlines.set('b', 20, nowMs);
    deadlines.clear(cleared);
    deadlines.clear(cleared);
    await until(1);
    expect(due).to.deep.equal([['b']]);
    deadlines.end();
  });

  it('that were cleared are not kept: a hundred thousand behind one that waits take no memory', () => {
    const { deadlines } = watched();
    const first = deadlines.set('waits', 60_000, performance.now());
    for (let n = 0; n < 100_000; n += 1) deadlines.clear(deadlines.set('gone', 60_000, performance.now()));
    expect(first.series.waiting.length).to.be.below(200);
    deadlines.end();
  });

  it('leave no timer when they are ended', () => {
    const { deadlines, due } = watched();
    deadlines.set('a', 1, performance.now());
    deadlines.end();
    expect(due).to.deep.equal([]);
  });
});
