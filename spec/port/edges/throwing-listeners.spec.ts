/** A listener of a port that throws: its error is the user's own, and the port goes on. */
import { expect } from 'chai';
import type { Outcome } from '../../programs/port-throws';
import { program } from '../../support/ports';
import { askProgram } from '../../support/programs';

for (const maker of ['Port', 'PortPool']) {
  describe(`a listener of a ${maker} that throws, in a process that handles what is thrown at it`, () => {
    for (const event of ['spawn', 'exit', 'restart', 'lanebroken', 'broken', 'unexpected'] as const) {
      it(`of ${event}: the throw comes to the process as it is; requests, close() and destroy() settle`, async () => {
        for (const end of ['close', 'destroy']) {
          const outcome = await askProgram<Outcome>('port-throws', [program('obeys.pl'), maker, event, end]);
          expect(outcome.thrown, 'thrown').to.be.above(0);
          expect(outcome.uncaught).to.deep.equal(
            Array.from({ length: outcome.thrown }, () => `Error: from a listener of ${event}`),
          );
          expect(outcome).to.include({ areTheUsers: true, state: 'closed', alive: 0 });
          const { ends } = outcome;
          const breaks = event.endsWith('broken');
          const firstEnd = event === 'spawn' ? 'a' : event === 'unexpected' ? 'A' : 'ERR_REXPORT_EXIT';
          expect(ends['first']).to.equal(firstEnd);
          if (breaks) expect(ends).to.include({ next: 'ERR_REXPORT_BROKEN', healed: 'healed' });
          else expect(ends['next']).to.equal('next');
          expect(ends['last']).to.equal(end === 'close' ? 'last' : 'ERR_REXPORT_CLOSED');
        }
      });
    }
  });
}
