import { expect } from 'chai';
import { PoisonError } from '../../lib/port/port-errors';
import { ask, obeys, watch } from '../support/ports';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

const again = { idempotent: true };

describe('Port: a poisonous request', () => {
  it('is rejected when a second child dies of it, and not sent to a third', async () => {
    await using port = obeys();
    const seen = watch(port);
    await ask(port, 'echo warm');
    const error = await rejection(port.request('exit 3', again));
    expect(error).to.be.instanceOf(PoisonError).and.include({ code: 'ERR_REXPORT_POISON', crashes: 2 });
    expect(error.cause).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3, stderrTail: 'going with 3\n' });
    expect(error.message).to.match(/^2 children of perl died of this request: perl exited with code 3/);
    expect(await ask(port, 'echo on')).to.equal('on');
    expect(seen.filter((line) => line.startsWith('exit'))).to.deep.equal(['exit 1', 'exit 2']);
  });

  it('is found among its neighbours, wherever it stands: they are answered', async () => {
    for (const place of stressed([0, 1, 2, 3], [0, 2])) {
      await using port = obeys({ maxInFlight: 4 });
      await ask(port, 'echo warm');
      const messages = Array.from({ length: 8 }, (_, i) => (i === place ? 'kill KILL' : `echo ${i}`));
      const outcomes = await Promise.allSettled(messages.map((message) => port.request(message, again)));
      for (const [i, outcome] of outcomes.entries()) {
        if (i === place) expect((outcome as PromiseRejectedResult).reason).to.be.instanceOf(PoisonError);
        else expect(String((outcome as PromiseFulfilledResult<Buffer>).value)).to.equal(String(i));
      }
      expect(port.restarts).to.equal(2);
    }
  });

  it('does not break the port, however many there are, and waits for no backoff', async () => {
    await using port = obeys({
      maxInFlight: 4,
      maxRestarts: 1,
      backoff: { minMs: 20, maxMs: 40 },
      minUptimeMs: 60_000,
    });
    const messages = Array.from({ length: stressed(24, 12) }, (_, i) => (i % 4 === 1 ? 'exit 1' : `echo ${i}`));
    const outcomes = await Promise.allSettled(messages.map((message) => port.request(message, again)));
    for (const [i, outcome] of outcomes.entries()) {
      if (i % 4 === 1) expect((outcome as PromiseRejectedResult).reason).to.be.instanceOf(PoisonError);
      else expect(String((outcome as PromiseFulfilledResult<Buffer>).value)).to.equal(String(i));
    }
    expect(port.state).to.equal('ready');
  });

  it('does not break a port that sees nothing else, once the program has answered', async () => {
    await using port = obeys({ maxRestarts: 1, backoff: { minMs: 1, maxMs: 2 }, minUptimeMs: 60_000 });
    await ask(port, 'echo warm');
    for (let round = 0; round < stressed(6, 3); round += 1) {
      expect(await rejection(port.request('exit 1', again))).to.be.instanceOf(PoisonError);
    }
    expect(await ask(port, 'echo on')).to.equal('on');
  });

  it('is not what is rejected with a child that we ended', async () => {
    await using port = obeys({ maxInFlight: 2 });
    await ask(port, 'echo warm');
    for (let round = 0; round < stressed(3, 2); round += 1) {
      const late = rejection(port.request('never', { timeoutMs: 40 }));
      const innocent = ask(port, 'echo a', again);
      expect((await late).code).to.equal('ERR_REXPORT_TIMEOUT');
      expect(await innocent).to.equal('a');
    }
  });

  it('is not one that is sent only once', async () => {
    await using port = obeys();
    for (let round = 0; round < 3; round += 1) {
      expect((await rejection(port.request('exit 1'))).code).to.equal('ERR_REXPORT_EXIT');
    }
  });

  it('keeps the others waiting no longer than it is alone', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const poison = rejection(port.request('exit 1', again));
    const queued = Array.from({ length: 10 }, (_, i) => ask(port, `echo ${i}`, i < 3 ? again : {}));
    expect(await poison).to.be.instanceOf(PoisonError);
    expect(await Promise.all(queued)).to.deep.equal(Array.from({ length: 10 }, (_, i) => String(i)));
  });
});
