import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { SilenceClock } from '../../lib/process/silence-clock';
import { until } from '../support/processes';

/** Stands still, as a program does that computes. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('SilenceClock', () => {
  /** A clock that is started, and when it was heard. */
  function clock(ms: number): { clock: SilenceClock; silence: Promise<number>; count: () => number } {
    let count = 0;
    let heard!: (atMs: number) => void;
    const silence = new Promise<number>((resolve) => (heard = resolve));
    const startedAt = performance.now();
    const started = new SilenceClock(ms, () => {
      count += 1;
      heard(performance.now() - startedAt);
    });
    started.start();
    return { clock: started, silence, count: () => count };
  }

  /** Unlike the clock, keeps the process alive until the condition holds. */
  async function awake<T>(promise: Promise<T>): Promise<T> {
    const alive = setInterval(() => {}, 1000);
    return promise.finally(() => clearInterval(alive));
  }

  it('says once that nothing came for its time', async () => {
    const { silence, count } = clock(20);
    expect(await awake(silence)).to.be.at.least(19);
    await awake(clock(30).silence);
    expect(count()).to.equal(1);
  });

  it('begins again at each start', async () => {
    const silences: { readonly start: number; readonly ms: number }[] = [];
    let start = 0;
    let startedAt = 0;
    const restarted = new SilenceClock(40, () => silences.push({ start, ms: performance.now() - startedAt }));
    for (const ms of [20, 20, 20]) {
      start += 1;
      startedAt = performance.now();
      restarted.start();
      await awake(clock(ms).silence);
    }
    // on a slow machine there may be one after each start
    expect(await until(() => silences.at(-1)?.start === 3)).to.be.true;
    for (const { ms } of silences) expect(ms).to.be.at.least(39);
  });

  it('says nothing once stopped, also in the turn in which it ran out', async () => {
    const early = clock(10);
    const late = clock(10);
    const later = clock(10);
    early.clock.stop();
    // both have run out by then, and wait for one more turn of the event loop
    setTimeout(() => {
      late.clock.stop();
      later.clock.start();
    }, 10);
    block(20);
    await awake(clock(10).silence);
    expect([early.count(), late.count()]).to.deep.equal([0, 0]);
    await awake(later.silence);
  });

  it('can be started again after it was stopped, and after it ran out', async () => {
    const { clock: again, silence, count } = clock(10);
    again.stop();
    again.start();
    await awake(silence);
    again.start();
    await awake(clock(20).silence);
    expect(count()).to.equal(2);
  });

  it('does not take a blocked event loop for silence while bytes wait in the kernel', async () => {
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.write('1');
    await once(child.stdout, 'data');
    let heardAt = 0;
    const silence = new Promise<number>((resolve) => {
      const listening = new SilenceClock(20, () => resolve(performance.now() - heardAt));
      child.stdout.on('data', () => {
        heardAt = performance.now();
        listening.start();
      });
      listening.start();
      child.stdin.write('2');
      block(60);
    });
    expect(await awake(silence)).to.be.within(19, 1000);
    child.stdin.end();
    await once(child, 'close');
  });

  it('does not keep the process alive', () => {
    const before = process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
    const { clock: running } = clock(1000);
    expect(process.getActiveResourcesInfo().filter((type) => type === 'Timeout')).to.have.lengthOf(before);
    running.stop();
  });
});
