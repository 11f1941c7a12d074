import { expect } from 'chai';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ExitError } from '../../lib';
import { obeys } from '../support/ports';
import { stressed } from '../support/stress';

const ROWS = stressed(2000, 200);
const DEADLY = ROWS / 100;
const isDeadly = (n: number): boolean => n % 100 === 42;

describe('Port as a stage of a pipeline, with default options', () => {
  for (const [how, options] of [
    ['one in flight', {}],
    ['eight in flight, of which those behind a deadly one are hurt and sent again', { maxInFlight: 8 }],
  ] as const) {
    it(`answers ${ROWS - DEADLY} of ${ROWS} rows in order and puts aside ${DEADLY} that kill the child, ${how}`, async () => {
      await using port = obeys(options);
      const letters: [string, Error][] = [];
      const replies: string[] = [];
      const idempotent = 'maxInFlight' in options;
      await pipeline(
        Readable.from(Array.from({ length: ROWS }, (_, n) => (isDeadly(n) ? `exit ${n % 250}` : `echo row ${n}`))),
        port.transform({ idempotent, onError: (error, message) => void letters.push([message as string, error]) }),
        new Writable({
          objectMode: true,
          write: (reply: Buffer, _encoding, callback) => {
            replies.push(String(reply));
            callback();
          },
        }),
      );
      const numbers = Array.from({ length: ROWS }, (_, n) => n);
      expect(replies).to.deep.equal(numbers.filter((n) => !isDeadly(n)).map((n) => `row ${n}`));
      expect(letters.map(([message]) => message)).to.deep.equal(numbers.filter(isDeadly).map((n) => `exit ${n % 250}`));
      for (const [message, error] of letters) {
        // one that is sent again dies of it twice, and says so
        const exit = idempotent ? error.cause : error;
        expect(exit)
          .to.be.instanceOf(ExitError)
          .and.include({ stderrTail: `going with ${message.slice(5)}\n` });
      }
      expect(port.state).to.be.oneOf(['ready', 'starting']);
      expect(port.restarts).to.equal(idempotent ? 2 * DEADLY : DEADLY);
    });
  }
});
