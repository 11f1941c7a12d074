import { once } from 'node:events';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { ExitError } from '../../lib/errors';
import { FrameTruncatedError } from '../../lib/framing/framing-errors';
import { Port } from '../../lib/port/port';
import { ask, obeys, program, watch } from '../support/ports';
import { rejection, sh } from '../support/streams';
import { repeat, stressed } from '../support/stress';

const EXIT = 'ERR_REXPORT_EXIT';

describe('Port: a child that dies', () => {
  it('with a request rejects it at once, with code, duration and the last words; the next one works', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const startedAt = performance.now();
    const error = await rejection(port.request('exit 7'));
    expect(performance.now() - startedAt).to.be.below(1000);
    expect(error).to.include({ code: EXIT, exitCode: 7, signal: null, stderrTail: 'going with 7\n', command: 'perl' });
    expect(error.message).to.match(/^perl exited with code 7 after \d+ ms; its stderr:\ngoing with 7$/);
    expect(await ask(port, 'echo next')).to.equal('next');
  });

  it('by a signal rejects with its name', async () => {
    await using port = obeys();
    for (const name of ['TERM', 'KILL', 'SEGV']) {
      expect(await rejection(port.request(`kill ${name}`))).to.include({ exitCode: null, signal: `SIG${name}` });
    }
  });

  it('of a signal that waited while it was stopped takes with it what it was given meanwhile', async () => {
    await using port = obeys();
    const pid = Number(await ask(port, 'pid'));
    process.kill(pid, 'SIGSTOP');
    process.kill(pid, 'SIGTERM');
    const given = rejection(port.request('echo a'));
    const again = ask(port, 'echo b', { idempotent: true });
    process.kill(pid, 'SIGCONT');
    expect(await given).to.include({ code: EXIT, exitCode: null, signal: 'SIGTERM' });
    expect(await again).to.equal('b');
  });

  it('whose stderr nobody was to hear has no last words', async () => {
    await using port = obeys({ stderr: 'ignore' });
    expect(await rejection(port.request('exit 7'))).to.include({ exitCode: 7, stderrTail: '' });
  });

  it('with exit 0 is dead all the same for a request that waits', async () => {
    await using port = obeys();
    expect(await rejection(port.request('exit 0'))).to.include({ code: EXIT, exitCode: 0 });
  });

  it('between requests is replaced, and nobody notices', async () => {
    await using port = obeys();
    const rounds = stressed(5, 2);
    for (let round = 0; round < rounds; round += 1) {
      const pid = Number(await ask(port, 'pid'));
      process.kill(pid, 'SIGKILL');
      await once(port, 'exit');
      expect(await ask(port, `echo ${round}`)).to.equal(String(round));
    }
    expect(port.restarts).to.equal(rounds);
  });

  it('rejects all that were written, in that moment: the first as guilty, those behind it as perhaps innocent', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const messages = ['kill KILL', 'echo a', 'echo b', 'echo c'];
    const errors = await Promise.all(messages.map((message) => rejection(port.request(message))));
    expect(errors[0]).to.include({ code: EXIT, signal: 'SIGKILL' });
    expect(errors.map((error) => (error as ExitError).behind)).to.deep.equal([0, 1, 2, 3]);
    for (const error of errors) expect(error).to.include({ code: EXIT, exitCode: null, signal: 'SIGKILL' });
    expect(errors[3]?.message).to.match(/stood behind 3 requests and may be innocent/);
  });

  it('in the midst of a large request does not hurt the unwritten behind it: they go on, in order', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    for (const end of ['kill -9 $$', 'exec 0<&-; sleep 0.05; kill -9 $$']) {
      const script = `mkdir ${directory}/once && { read -r x; ${end}; }; exec cat`;
      // a busy machine takes its time between the one and the other
      await using port = new Port(...sh(script), { maxInFlight: 10, orphanGraceMs: 5000 });
      const order: string[] = [];
      const first = rejection(port.request(Buffer.alloc(3_000_000, '\n')));
      const others = ['a', 'b', 'c', 'd'].map(async (text) => order.push(await ask(port, text)));
      expect(await first).to.include({ code: EXIT, signal: 'SIGKILL' });
      await Promise.all(others);
      expect(order).to.deep.equal(['a', 'b', 'c', 'd']);
      expect(port.restarts).to.equal(1);
      rmdirSync(`${directory}/once`);
    }
    rmdirSync(directory);
  });

  it('has the idempotent ones sent again, in order, before those that waited', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const order: string[] = [];
    const request = async (message: string, idempotent: boolean): Promise<void> => {
      order.push(await ask(port, message, { idempotent }).catch((error: Error) => error.constructor.name));
    };
    await Promise.all([
      request('exit 1', false),
      request('echo a', true),
      request('echo b', false),
      request('echo c', true),
      request('echo d', false),
    ]);
    expect(order).to.deep.equal(['ExitError', 'ExitError', 'a', 'c', 'd']);
  });

  const times = stressed(1000, 20);
  it(`right after its reply loses nothing: the reply, then the exit, ${times} times, and nothing is left of them`, async () => {
    const run = async (): Promise<void> => {
      await using port = new Port(...sh('read -r line; printf "\\0\\0\\0\\2OK"; exit 3'));
      const codes: unknown[] = [];
      port.on('exit', (_child, { exitCode }) => codes.push(exitCode));
      await repeat(times / 4, 1, async () => {
        const exit = once(port, 'exit');
        expect(await ask(port, '\n')).to.equal('OK');
        await exit;
      });
      expect(codes).to.deep.equal(Array.from({ length: times / 4 }, () => 3));
    };
    await repeat(4, 4, run);
  });
});

describe('Port: a reply that is cut', () => {
  const cases = [
    ['header', '0000', 2, 4],
    ['body', '0000000a4142', 2, 10],
    ['body', '0000000a', 0, 10],
  ] as const;
  for (const [phase, hex, receivedBytes, expectedBytes] of cases) {
    it(`by exit 0 after ${receivedBytes} bytes of the ${phase}: the cut is the error, the exit its cause`, async () => {
      await using port = obeys();
      const error = await rejection(port.request(`last ${hex} 0`));
      expect(error).to.be.instanceOf(FrameTruncatedError).and.include({ phase, receivedBytes, expectedBytes });
      expect(error.cause).to.include({ code: EXIT, exitCode: 0 });
      expect(await ask(port, 'echo next')).to.equal('next');
    });

    it(`by exit 7 after ${receivedBytes} bytes of the ${phase}: the exit is the error, the cut its cause`, async () => {
      await using port = obeys();
      const error = await rejection(port.request(`last ${hex} 7`));
      expect(error).to.include({ code: EXIT, exitCode: 7 });
      expect(error.cause).to.be.instanceOf(FrameTruncatedError).and.include({ phase, receivedBytes, expectedBytes });
      expect(await ask(port, 'echo next')).to.equal('next');
    });
  }

  it('goes by the successCodes in that', async () => {
    await using port = obeys({ successCodes: [7] });
    expect(await rejection(port.request('last 0000 7'))).to.be.instanceOf(FrameTruncatedError);
    expect(await rejection(port.request('last 0000 0'))).to.include({ code: EXIT, exitCode: 0 });
  });
});

describe('Port: a child that answers what nobody asked', () => {
  const TWICE = 'raw 00000001410000000142';

  it('twice in one chunk: told as unexpected, replaced, and the next request is right', async () => {
    await using port = obeys();
    const seen = watch(port);
    const rounds = stressed(20, 5);
    for (let round = 0; round < rounds; round += 1) {
      const [first, next] = [ask(port, TWICE), ask(port, `echo ${round}`)];
      expect(await first).to.equal('A');
      expect(await next).to.equal(String(round));
    }
    expect(seen.filter((line) => line.startsWith('unexpected'))).to.have.length(rounds);
    expect(seen[1]).to.equal('unexpected 1: B');
    expect(port.restarts).to.equal(rounds);
  });

  it('twice in one chunk, to a decode that asks again at the first: the second is not taken for that reply', async () => {
    for (const maxInFlight of [1, 4]) {
      let next: Promise<string> | undefined;
      await using port = new Port<string, string>('perl', [program('obeys.pl')], {
        maxInFlight,
        encode: (message) => message,
        decode: (message) => {
          if (String(message) === 'A') next = port.request('echo right');
          return String(message);
        },
      });
      expect(await port.request(TWICE)).to.equal('A');
      expect(await next).to.equal('right');
      expect(port.restarts).to.equal(1);
    }
  });

  it('in turn with its replies is restarted without end: it does answer', async () => {
    await using port = obeys({ maxRestarts: 1 });
    for (let round = 0; round < stressed(5, 3); round += 1) expect(await ask(port, TWICE)).to.equal('A');
    expect(port.state).to.not.equal('broken');
  });

  it('while nobody waits: told, and replaced', async () => {
    const script = 'read -r x; printf "\\0\\0\\0\\1A"; sleep 0.05; printf "\\0\\0\\0\\1B"; exec cat';
    await using port = new Port(...sh(script));
    const seen = watch(port);
    expect(await ask(port, '\n')).to.equal('A');
    await once(port, 'restart');
    expect(seen.slice(0, 3)).to.deep.equal(['spawn 1', 'unexpected 1: B', 'restart 2']);
  });

  it('in a reply that is too long: the request says so, those behind it EXIT with that as cause', async () => {
    await using port = obeys({ maxInFlight: 2, maxMessageBytes: 100 });
    await ask(port, 'echo warm');
    const outcomes = [rejection(port.request('raw 00000065')), rejection(port.request('echo b'))] as const;
    const tooLarge = await outcomes[0];
    expect(tooLarge).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE', messageBytes: 101, maxMessageBytes: 100 });
    const behind = await outcomes[1];
    expect(behind).to.include({ code: EXIT }).and.have.property('cause', tooLarge);
    expect(await ask(port, 'echo on')).to.equal('on');
  });
});

describe('Port: a child that closes its pipes and lives on', () => {
  it('its output: the requests fail, it is replaced', async () => {
    await using port = new Port(...sh('exec >&-; sleep 30'), { maxRestarts: 0 });
    const error = await rejection(port.request('a'));
    expect(error).to.include({ code: EXIT });
    expect(error.message).to.include('it closed its output');
    expect(port.state).to.equal('broken');
  });

  it('its input: what it answers is delivered, the others fail, it is replaced', async () => {
    const script = 'head -c 5 >/dev/null; exec 0<&-; printf "\\0\\0\\0\\1A"; sleep 30';
    await using port = new Port(...sh(script), { maxRestarts: 0, maxInFlight: 2, orphanGraceMs: 400 });
    const [first, second] = [ask(port, 'x'), rejection(port.request(Buffer.alloc(2_000_000)))];
    expect(await first).to.equal('A');
    expect((await second).code).to.equal('ERR_REXPORT_INPUT_CLOSED');
  });
});

describe('Port: the requests of one tick', () => {
  it('leave as one chunk', async () => {
    const countsWhatItReads =
      '$| = 1; while (my $n = sysread STDIN, my $bytes, 65536) { print pack("N/a*", $n) for 1 .. $n / 5 }';
    await using port = new Port('perl', ['-e', countsWhatItReads], { maxInFlight: 10 });
    expect(await ask(port, 'a')).to.equal('5');
    const replies = await Promise.all(Array.from({ length: 10 }, () => ask(port, 'b')));
    expect(replies).to.deep.equal(Array(10).fill('50'));
  });
});
