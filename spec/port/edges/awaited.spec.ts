/** A promise of a port keeps the process until it has settled: in a process that has nothing else to do. */
import { expect } from 'chai';
import { ways } from '../../programs/port-awaits';
import { program } from '../../support/ports';
import { stressed } from '../../support/stress';
import { startProgram, type Ended } from '../../support/programs';

const everything = Object.keys(ways);
/** What keeps the process for a Port keeps it for a pool: of that, what has to do with more than one lane. */
const waysOf: Record<string, readonly string[]> = {
  Port: everything,
  PortPool: stressed(everything, [
    'destroy() with requests in flight and in the queue',
    'close() with requests',
    'close() in a backoff with a request that waits',
    'close() in the midst of a planned replacement',
    'a request to a pool or port whose idle child is killed',
    'start()',
  ]),
};
/** Whether each has a process of its own. */
const isAlone = stressed(true, false);
/** A process that does not leave is a fault too, and no reason to wait longer. */
const PATIENCE_MS = 30_000;

function run(maker: string, names: readonly string[]): Promise<Ended> {
  const { process: child, ended } = startProgram('port-awaits', [program('obeys.pl'), maker, ...names]);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  return ended.finally(() => clearTimeout(timer));
}

interface Runs {
  /** The ways whose promise has settled. */
  readonly settled: Set<string>;
  /** How the processes ended: one for all, and after one that left too early another for the rest. */
  readonly ends: Omit<Ended, 'stdout'>[];
}

async function runAll(maker: string): Promise<Runs> {
  const runs: Runs = { settled: new Set(), ends: [] };
  for (let names = waysOf[maker]!; names.length > 0;) {
    const chosen = isAlone ? names.slice(0, 1) : names;
    const { stdout, ...end } = await run(maker, chosen);
    const printed = stdout.split('\n').filter((name) => name !== '');
    for (const name of printed) runs.settled.add(name);
    runs.ends.push(end);
    // one that was not printed is left out, and the others have their turn
    names = names.slice(Math.min(printed.length + 1, isAlone ? 1 : Infinity));
  }
  return runs;
}

describe('a process that awaits a promise of a port', () => {
  const makers = Object.keys(waysOf);
  const all = new Map<string, Runs>();

  before(async function () {
    this.timeout(isAlone ? 300_000 : 90_000);
    await Promise.all(makers.map(async (maker) => all.set(maker, await runAll(maker))));
  });

  for (const maker of makers) {
    describe(`stays until it has settled: ${maker}`, () => {
      for (const way of waysOf[maker]!) {
        it(way, () => expect([...all.get(maker)!.settled]).to.include(way));
      }

      it('and then leaves by itself, without a word', () => {
        for (const end of all.get(maker)!.ends) expect(end).to.deep.equal({ code: 0, signal: null, stderr: '' });
      });
    });
  }
});
