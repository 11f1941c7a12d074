/** A listener of a port that throws: its error is the user's own, and the port goes on. */
import { expect } from 'chai';
import type { Outcome, Report } from '../../programs/port-throws';
import { program } from '../../support/ports';
import { askProgram } from '../../support/programs';
import { stressed } from '../../support/stress';

const events = ['spawn', 'exit', 'restart', 'lanebroken', 'broken', 'unexpected'];
const ends = ['close', 'destroy'];
const casesOf = (maker: string, some: readonly string[]): string[] =>
  some.flatMap((event) => ends.map((end) => `${maker} ${event} ${end}`));
// a Port is a pool of one lane: of more than one, a lane may be up while another breaks
const cases = [...casesOf('Port', events), ...casesOf('PortPool', stressed(events, ['lanebroken']))];
/** Each list is the cases of one process. */
const processes = stressed(
  cases.map((name) => [name]),
  [cases],
);

describe('a listener that throws, in a process that handles what is thrown at it', () => {
  const outcomes: Record<string, Outcome> = {};
  const strangers: string[] = [];

  before(async function () {
    this.timeout(120_000);
    for (const names of processes) {
      const report = await askProgram<Report>('port-throws', [program('obeys.pl'), ...names]);
      Object.assign(outcomes, report.outcomes);
      strangers.push(...report.strangers);
    }
  });

  for (const name of cases) {
    it(`the throw comes to the process as it is; requests, close() and destroy() settle: ${name}`, () => {
      const { [name]: outcome } = outcomes;
      const [, event = '', end] = name.split(' ');
      expect(outcome?.thrown, 'thrown').to.be.above(0);
      expect(outcome?.uncaught).to.deep.equal(
        Array.from({ length: outcome!.thrown }, () => `Error: from a listener of ${event}`),
      );
      expect(outcome).to.include({ state: 'closed', alive: 0 });
      const firstEnd = event === 'spawn' ? 'a' : event === 'unexpected' ? 'A' : 'ERR_REXPORT_EXIT';
      expect(outcome?.ends).to.include({ first: firstEnd, last: end === 'close' ? 'last' : 'ERR_REXPORT_CLOSED' });
      if (event.endsWith('broken')) {
        expect(outcome?.ends).to.include({ next: 'ERR_REXPORT_BROKEN', healed: 'healed' });
      } else expect(outcome?.ends).to.include({ next: 'next' });
    });
  }

  it('nothing else comes to the process', () => expect(strangers).to.deep.equal([]));
});
