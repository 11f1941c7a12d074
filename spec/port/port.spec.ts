import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { expect } from 'chai';
import { json } from '../../lib/port/json';
import { Port } from '../../lib/port/port';
import { ask, obeys } from '../support/ports';
import { pattern } from '../support/frames';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('Port: requests and replies', () => {
  const sizes = [0, 1, 10, 13, 64, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 4097, 32_767, 32_768];
  const larger = [65_529, 65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 65_536, 65_537, 65_541, 100_000, 1_048_576];

  it('answers messages of all sizes, byte for byte', async () => {
    await using port = new Port('cat');
    for (const size of [...sizes, ...larger]) {
      const message = pattern(size);
      expect(digest(await port.request(message)), `${size} bytes`).to.equal(digest(message));
    }
  });

  it('answers them the same when all are in flight at once', async () => {
    await using port = new Port('cat', { maxInFlight: 100 });
    const messages = [...sizes, ...larger].map(pattern);
    const replies = await Promise.all(messages.map((message) => port.request(message)));
    expect(replies.map(digest)).to.deep.equal(messages.map(digest));
  });

  for (const [packet, most] of [
    [1, 255],
    [2, 65_535],
  ] as const) {
    it(`answers messages up to ${most} bytes with packet: ${packet}; of a longer one only the call fails`, async () => {
      await using port = new Port('cat', { packet });
      const spawns: unknown[] = [];
      port.on('spawn', (child) => spawns.push(child));
      for (const size of [0, 1, most]) expect(await port.request(pattern(size))).to.deep.equal(pattern(size));
      const outcomes = await Promise.allSettled([
        port.request(pattern(most + 1)),
        port.request('a'),
        ...Array.from({ length: 3 }, () => port.request(pattern(most + 1))),
        port.request('b'),
      ]);
      const indexes = [...outcomes.keys()].filter((i) => outcomes[i]?.status === 'fulfilled');
      expect(indexes).to.deep.equal([1, 5]);
      expect((outcomes[0] as PromiseRejectedResult).reason).to.include({
        code: 'ERR_REXPORT_MESSAGE_TOO_LARGE',
        messageBytes: most + 1,
        maxMessageBytes: most,
      });
      expect(spawns).to.have.length(1);
    });
  }

  it('goes on after nothing but messages that cannot be framed', async () => {
    await using port = new Port('cat', { packet: 1 });
    await port.request('warm');
    const requests = Array.from({ length: 5 }, () => rejection(port.request(pattern(256))));
    for (const error of await Promise.all(requests)) expect(error.code).to.equal('ERR_REXPORT_MESSAGE_TOO_LARGE');
    expect(String(await port.request('ok'))).to.equal('ok');
  });

  it('rejects what is no message, and nobody else is hurt', async () => {
    await using port = new Port('cat');
    const [bad, good] = [rejection(port.request(42 as unknown as string)), ask(port, 'good')];
    expect(await bad).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE', type: 'number' });
    expect(await good).to.equal('good');
  });

  it('answers requests that nobody waits for one by one in the order of their calls', async () => {
    const count = stressed(500, 100);
    for (const maxInFlight of [1, 7, 64]) {
      await using port = new Port('cat', { maxInFlight });
      const order: number[] = [];
      const requests = Array.from({ length: count }, async (_, i) => {
        expect(await ask(port, `row ${i}`)).to.equal(`row ${i}`);
        order.push(i);
      });
      expect(port.pending).to.equal(count);
      await Promise.all(requests);
      expect(order).to.deep.equal(Array.from({ length: count }, (_, i) => i));
    }
  });

  const trips = stressed(3000, 300);
  it(`makes ${trips} round trips one by one`, async () => {
    await using port = new Port('cat');
    for (let i = 0; i < trips; i += 1) expect(await ask(port, `trip ${i}`)).to.equal(`trip ${i}`);
    expect(port.restarts).to.equal(0);
  });

  it('takes a reply in any pieces: header and body byte by byte, with time between', async () => {
    await using port = obeys();
    expect(await ask(port, 'drip 5 all of it')).to.equal('all of it');
    expect(await ask(port, 'drip 5 ')).to.equal('');
  });

  it('is not disturbed by what the child says on stderr before, between and after its frames', async () => {
    const script = 'echo before >&2; for i in 1 2; do dd bs=1 count=6 2>/dev/null; echo between >&2; done; cat';
    await using port = new Port(...sh(script));
    for (const message of ['hi', 'ho', 'he']) expect(await ask(port, message)).to.equal(message);
  });

  const prints = stressed(30, 3);
  it(`drains ${prints} MB of stderr that nobody reads`, async () => {
    await using port = new Port(...sh(`head -c ${prints}000000 /dev/zero >&2; exec cat`));
    expect(await ask(port, 'after that')).to.equal('after that');
  });

  it('has the program’s arguments, directory and environment reach the child', async () => {
    const script = 'read -r n; printf "\\0\\0\\0\\021%s %s %s" "$1" "$PWD" "$WHAT"; cat';
    await using port = new Port('sh', ['-c', script, 'sh', 'a * b'], { cwd: '/usr', env: { WHAT: 'o=ther' } });
    expect(await ask(port, '\n')).to.equal('a * b /usr o=ther');
  });
});

describe('Port: large messages and full pipes', () => {
  it('echoes 8 MiB', async () => {
    await using port = new Port('cat', { requestTimeoutMs: 15_000 });
    const message = pattern(8 * 1024 * 1024);
    expect(digest(await port.request(message))).to.equal(digest(message));
  });

  const large = stressed(50, 2);
  it(`takes a reply that is streamed while a request of ${large} MiB is still being written`, async () => {
    await using port = new Port('cat', { requestTimeoutMs: 15_000 });
    const message = Buffer.alloc(large * 1024 * 1024, 'x');
    const reply = await port.request(message);
    expect(reply.equals(message)).to.equal(true);
  });

  it('releases 20 callers that are blocked on a full child, in order, when it drains', async () => {
    await using port = new Port(...sh('sleep 0.2; exec cat'), { maxInFlight: 20 });
    const order: number[] = [];
    const requests = Array.from({ length: 20 }, async (_, i) => {
      const message = Buffer.alloc(300_000, i);
      expect((await port.request(message)).equals(message)).to.equal(true);
      order.push(i);
    });
    await Promise.all(requests);
    expect(order).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
  });

  it('releases the others when some of them give up', async () => {
    await using port = new Port(...sh('sleep 0.2; exec cat'), { maxInFlight: 20 });
    const controller = new AbortController();
    const { signal } = controller;
    const requests = Array.from({ length: 20 }, (_, i) =>
      port.request(Buffer.alloc(300_000, i), i % 3 === 1 ? { signal } : {}),
    );
    const outcomes = Promise.allSettled(requests);
    await once(port, 'spawn');
    controller.abort();
    for (const [i, outcome] of (await outcomes).entries()) {
      if (i % 3 === 1) expect(outcome.status).to.equal('rejected');
      else expect((outcome as PromiseFulfilledResult<Buffer>).value.equals(Buffer.alloc(300_000, i))).to.equal(true);
    }
    expect(port.restarts).to.equal(0);
  });

  it('rejects all of them when the child dies, those unwritten with a later cause', async () => {
    await using port = new Port(...sh('sleep 0.1; exit 3'), { maxInFlight: 20, restart: 'temporary' });
    const requests = Array.from({ length: 20 }, (_, i) => rejection(port.request(Buffer.alloc(300_000, i))));
    const errors = await Promise.all(requests);
    expect(errors[0]).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3 });
    expect(errors[19]).to.include({ code: 'ERR_REXPORT_BROKEN' });
    expect(errors[19]?.cause).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3 });
  });

  it('holds no more for an oversized length than the bytes that came', async () => {
    for (const header of ['7fffffff', 'ffffffff']) {
      await using port = obeys({ maxMessageBytes: 1_000_000 });
      const error = await rejection(port.request(`raw ${header}`));
      expect(error).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE', maxMessageBytes: 1_000_000 });
      expect(error).to.include({ messageBytes: Number.parseInt(header, 16) });
      expect(error.message)
        .to.include('1000000')
        .and.include(String(Number.parseInt(header, 16)));
      expect(await ask(port, 'echo next')).to.equal('next');
      expect(port.restarts).to.equal(1);
    }
  });

  it('shows the text when the child prints where a frame is expected', async () => {
    await using port = new Port(...sh('read -r x; echo Hello, world; cat'));
    const error = await rejection(port.request('\n'));
    expect(error.message).to.include('"Hello, world\\n": did the program print to stdout?');
  });
});

describe('Port: the face', () => {
  it('encodes and decodes', async () => {
    await using port = new Port<{ a: number }, unknown>('cat', { ...json });
    expect(await port.request({ a: 1 })).to.deep.equal({ a: 1 });
  });

  it('rejects with what encode or decode threw, and goes on', async () => {
    await using port = new Port<string, string>('cat', {
      encode: (text) => {
        if (text === '') throw new TypeError('empty');
        return text;
      },
      decode: (reply) => {
        if (reply.length > 3) throw new RangeError('long');
        return reply.toString();
      },
    });
    expect(await rejection(port.request('')))
      .to.be.instanceOf(TypeError)
      .and.include({ message: 'empty' });
    expect(await rejection(port.request('four')))
      .to.be.instanceOf(RangeError)
      .and.include({ message: 'long' });
    expect(await port.request('abc')).to.equal('abc');
    expect(port.pending).to.equal(0);
  });

  it('rejects with what a wrong option of a request is, and is not the worse for it', async () => {
    await using port = new Port('cat');
    const wrong: object[] = [
      { timeout: 1 },
      { timeoutMs: 0 },
      { timeoutMs: 2 ** 31 },
      { timeoutMs: '5' },
      { signal: {} },
      { signal: null },
      { idempotent: 'yes' },
    ];
    for (const options of wrong) {
      const error = await rejection(port.request('', options));
      expect(error.message, JSON.stringify(options)).to.match(/^expected /);
      expect(error, JSON.stringify(options)).to.satisfy(
        (e: Error) => e instanceof TypeError || e instanceof RangeError,
      );
    }
    expect(await rejection(port.request('', null as unknown as object))).to.be.instanceOf(TypeError);
    expect(port.pending).to.equal(0);
    expect(await ask(port, 'ok')).to.equal('ok');
  });

  it('looks again at options that were right once and may have changed', async () => {
    await using port = new Port('cat');
    const options: { timeoutMs: number } = { timeoutMs: 60_000 };
    expect(String(await port.request('first', options))).to.equal('first');
    options.timeoutMs = 0;
    expect(await rejection(port.request('', options))).to.be.instanceOf(RangeError);
    // What is frozen cannot have changed, and is looked at once; what is wrong then stays wrong.
    const frozen = Object.freeze({ timeoutMs: 0 });
    for (const again of [frozen, frozen]) expect(await rejection(port.request('', again))).to.be.instanceOf(RangeError);
  });

  it('spawns nothing before the first request', async () => {
    const port = new Port('cat');
    expect([port.state, port.pending, port.queued, port.restarts]).to.deep.equal(['idle', 0, 0, 0]);
    const reply = port.request('a');
    expect([port.state, port.pending, port.queued]).to.deep.equal(['starting', 1, 1]);
    await once(port, 'spawn');
    expect([port.state, port.pending]).to.deep.equal(['ready', 1]);
    await reply;
    expect([port.state, port.pending, port.queued]).to.deep.equal(['ready', 0, 0]);
    const closing = port.close();
    expect(port.state).to.equal('closing');
    await closing;
    expect(port.state).to.equal('closed');
  });

  it('spawns its first child on restart(), so that it is warm', async () => {
    await using port = new Port('cat');
    port.restart();
    expect(port.state).to.equal('starting');
    const [child] = (await once(port, 'spawn')) as [{ generation: number; pid: number; lane: number }];
    expect(child).to.include({ generation: 1, lane: 0 });
    expect(port.restarts).to.equal(0);
  });

  it('tells the child’s true number', async () => {
    await using port = obeys();
    let pid: number | undefined;
    port.once('spawn', (child) => (pid = child.pid));
    expect(await ask(port, 'pid')).to.equal(String(pid));
  });

  it('refuses a request when as many are pending as the child and the queue hold', async () => {
    const port = new Port('sleep', ['30'], { maxInFlight: 2, maxQueue: 3 });
    const accepted = Array.from({ length: 5 }, () => rejection(port.request('')));
    const refused = rejection(port.request(''));
    await once(port, 'spawn');
    const error = await refused;
    expect(error).to.include({ code: 'ERR_REXPORT_QUEUE_FULL', limit: 5 });
    expect(error.message).to.include('5 pending');
    expect([port.pending, port.queued]).to.deep.equal([5, 3]);
    await port.destroy();
    for (const outcome of await Promise.all(accepted)) expect(outcome.code).to.equal('ERR_REXPORT_CLOSED');
  });

  it('takes requests before the first spawn when maxQueue is 0, as many as the child will hold', async () => {
    await using port = new Port('cat', { maxInFlight: 2, maxQueue: 0 });
    const replies = [ask(port, 'a'), ask(port, 'b')];
    expect((await rejection(port.request('c'))).code).to.equal('ERR_REXPORT_QUEUE_FULL');
    expect(await Promise.all(replies)).to.deep.equal(['a', 'b']);
    expect(await ask(port, 'd')).to.equal('d');
  });
});
