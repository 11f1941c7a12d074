import { once } from 'node:events';
import { expect } from 'chai';
import { PortDuplex } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { askProgram } from '../support/programs';
import { stressed } from '../support/stress';
import { closed } from '../support/streams';

interface Answer {
  readonly before: unknown;
  readonly after: unknown;
  readonly outcomes: Record<string, number>;
  readonly reached: readonly string[];
}

interface Round {
  readonly opened: number;
  readonly refused: string;
  readonly said: readonly string[];
}

describe('PortDuplex: leaks over time', function () {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // what is left is counted in /proc
  });

  const lifeTimes = stressed(1000, 12);
  const aborted = stressed(100, 12);
  const third = Math.floor(lifeTimes / 3);

  const counts = {
    finish: [lifeTimes, 20],
    destroy: [lifeTimes, 20],
    statuses: [lifeTimes, 50],
    abort: [aborted, aborted],
    redirect: [lifeTimes, 20],
    pipes: [lifeTimes, 20],
  };
  let answers: Record<keyof typeof counts, Answer>;
  before(async function () {
    this.timeout(stressed(240_000, 60_000));
    answers = await askProgram('scale', Object.entries(counts).flat(2).map(String));
  });

  const level = 'leave descriptors, children, timers and listeners as they were, and no warning';
  const lives: [title: string, way: keyof typeof counts, outcomes: Record<string, number>][] = [
    [`${lifeTimes} cycles of spawn and finish, 20 at a time,`, 'finish', { 'code 0': lifeTimes }],
    [`${lifeTimes} cycles of spawn and destroy, 20 at a time,`, 'destroy', { SIGTERM: lifeTimes }],
    [`${lifeTimes} children that exit with 17, 50 at a time,`, 'statuses', { 'ExitError with code 17': lifeTimes }],
    [
      `${lifeTimes} redirected pipelines, 20 at a time, a third of them aborted,`,
      'redirect',
      { success: lifeTimes - third, AbortError: third },
    ],
    [
      `${lifeTimes} ports with pipes, 20 at a time, a third of them destroyed at random,`,
      'pipes',
      { 'code 0, bytes 1': lifeTimes - third, destroyed: third },
    ],
    [`${aborted} ports that one AbortSignal ends`, 'abort', { 'AbortError, SIGTERM': aborted }],
  ];
  for (const [title, way, outcomes] of lives) {
    it(`${title} ${level}`, () => {
      const { before, after, ...others } = answers[way];
      expect(others).to.deep.equal({ outcomes, reached: [] });
      expect(after).to.deep.equal(before);
    });
  }

  it('until no descriptor is left, as many can be opened again once all are closed, and those before work', async () => {
    // Node itself forgets three descriptors when it runs out of them in the middle of a spawn: in two of three limits
    const [most, rounds] = stressed(['70', '3'], ['58', '2']);
    const limit = { prelude: `ulimit -n ${most}` };
    const [ports, bare] = await Promise.all(
      ['port', 'bare'].map((way) => askProgram<Round[][]>('rounds', [way, rounds], limit)),
    );
    const opened = ports!.map((rounds, taken) => {
      for (const { refused, said } of rounds) expect([refused, said]).to.deep.equal(['SpawnError EMFILE', ['x 0']]);
      const counts = rounds.map((round) => round.opened);
      expect(counts).to.deep.equal(bare![taken]!.map((round) => round.opened));
      return counts;
    });
    const constant = opened.filter((counts) => counts.every((count) => count > 5 && count === counts[0]));
    expect(constant).to.not.be.empty;
  });

  it('a thousand writes to one port add no listener that is warned of', async () => {
    const events = new ProcessEvents();
    const port = new PortDuplex('cat', { highWaterMark: 1 }).resume();
    for (let index = 0; index < 1000; index += 1) if (!port.write('x')) await once(port, 'drain');
    port.end();
    await closed(port);
    expect(port.bytesRead).to.equal(1000);
    expect(await events.stop()).to.deep.equal([]);
  });
});
