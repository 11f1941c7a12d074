import { once, type EventEmitter } from 'node:events';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import {
  incoming,
  jsonRpc,
  JsonRpcError,
  lines,
  Port,
  PortPool,
  type JsonRpcMessage,
  type JsonRpcOptions,
  type PortChild,
  type PortOptions,
  type Protocol,
} from '../../lib';
import { askUnderKills, manyLives } from '../support/killed-pool';
import { collectGarbage } from '../support/memory';
import { isAlive, program } from '../support/ports';
import { requirePrograms, stressed } from '../support/stress';
import { rejection } from '../support/streams';
import { thrownToProcess } from '../support/thrown';

type Child = PortChild<JsonRpcMessage, unknown>;
type Rpc = Port<JsonRpcMessage, unknown, JsonRpcMessage>;
type Options = Omit<PortOptions<JsonRpcMessage, unknown, JsonRpcMessage>, 'protocol'>;

const mcp = (options: JsonRpcOptions = {}): Protocol<JsonRpcMessage, unknown, JsonRpcMessage> =>
  jsonRpc({ dialect: 'mcp', ...options });

const RPC = [program('rpc.pl')];

/** A port whose child is spec/programs/rpc.pl. */
function rpc(options: Options = {}, { mode = '', ...words }: JsonRpcOptions & { mode?: string } = {}): Rpc {
  const args = [...RPC, mode];
  return new Port('perl', args, { framing: lines(), maxInFlight: 50, ...options, protocol: mcp(words) });
}

function ask(port: Rpc | Child, method: string, params?: unknown): Promise<unknown> {
  return port.request(params === undefined ? { method } : { method, params });
}

function eventsOf(port: Rpc): JsonRpcMessage[] {
  const events: JsonRpcMessage[] = [];
  port.on('message', (event) => events.push(event));
  return events;
}

describe('Port with a protocol: ids', () => {
  it('has each reply reach its own request, whatever their order', async () => {
    await using port = rpc();
    const requests = Array.from({ length: 20 }, (_, n) => ask(port, 'hold', n));
    expect(await ask(port, 'release', 'last')).to.equal('last');
    expect(await Promise.all(requests)).to.deep.equal(Array.from({ length: 20 }, (_, n) => n));
  });

  it('never uses an id twice in a life of the port, over restarts', async () => {
    const ids: (number | undefined)[] = [];
    const plain = mcp();
    const protocol: Protocol<JsonRpcMessage, unknown, JsonRpcMessage> = {
      ...plain,
      encode: (message, id, wantsProgress) => (ids.push(id), plain.encode(message, id, wantsProgress)),
    };
    await using port = new Port('perl', RPC, { framing: lines(), protocol });
    const rounds = stressed(3, 2);
    for (let round = 0; round < rounds; round += 1) {
      await port.request({ method: 'echo' });
      await rejection(port.request({ method: 'die', params: 3 }));
    }
    expect(ids).to.deep.equal([1, 2, 3, 4, 5, 6].slice(0, 2 * rounds));
  });

  it('drops and counts a reply whose request was given up, and hurts nobody', async () => {
    await using port = rpc();
    await ask(port, 'echo', 'warm');
    const late = rejection(port.request({ method: 'hold', params: 1 }, { timeoutMs: 30 }));
    expect(await late).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'reply' });
    expect(await ask(port, 'release', 2)).to.equal(2);
    expect(port.statistics()).to.include({ lateReplies: 1, restarts: 0 });
  });

  it('replaces a child that answers an id that was never given; others are answered by the next', async () => {
    await using port = rpc();
    const unexpected = once(port, 'unexpected');
    const asked = rejection(ask(port, 'stranger'));
    await unexpected;
    expect(await asked).to.include({ code: 'ERR_REXPORT_EXIT' });
    expect(await ask(port, 'echo', 'next')).to.equal('next');
    expect(port.restarts).to.equal(1);
  });

  it('takes a second answer to one request for a late one', async () => {
    await using port = rpc();
    expect(await ask(port, 'twice')).to.equal(1);
    expect(await ask(port, 'echo', 'next')).to.equal('next');
    expect(port.statistics()).to.include({ lateReplies: 1, restarts: 0 });
  });

  const cancelled = stressed(10_000, 3000);
  it(`keeps no memory and no place for ${cancelled} requests that were cancelled and never answered`, async () => {
    await using port = rpc({ maxInFlight: 4 });
    await ask(port, 'echo', 'warm');
    const cancel = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        const controller = new AbortController();
        const { signal } = controller;
        const all = Array.from({ length: 100 }, () => rejection(port.request({ method: 'never' }, { signal })));
        controller.abort();
        await Promise.all(all);
      }
    };
    const usedBytes = async (): Promise<number> => {
      // what the child was told of them is on its way until it answers
      await ask(port, 'echo');
      for (let round = 0; round < 3; round += 1) await collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    await cancel(stressed(20, 10));
    const before = await usedBytes();
    await cancel(cancelled / 100);
    // a request alone is some 300 bytes, and its promise and its error more
    expect((await usedBytes()) - before).to.be.below(150 * cancelled);
    expect([port.pending, port.queued, port.restarts]).to.deep.equal([0, 0, 0]);
    expect(await ask(port, 'echo', 'on')).to.equal('on');
  }).timeout(60_000);

  it('rejects a request with its error reply, and the child stays', async () => {
    await using port = rpc();
    const error = await rejection(ask(port, 'error', [1]));
    expect(error).to.be.instanceOf(JsonRpcError).and.include({ code: -7, message: 'no' });
    expect((error as unknown as JsonRpcError).data).to.deep.equal([1]);
    expect(port.restarts).to.equal(0);
  });
});

describe('Port with a protocol: a child that hangs', () => {
  it('is replaced after three deadlines in a row without a message', async () => {
    // without a dialect it is not told that a request was cancelled, and so says nothing at all
    const protocol = jsonRpc();
    await using port = new Port('perl', RPC, { framing: lines(), protocol, requestTimeoutMs: 60 });
    await port.request({ method: 'echo' }, { timeoutMs: 10_000 });
    for (let round = 0; round < 3; round += 1) {
      expect(port.restarts, `round ${round}`).to.equal(0);
      expect((await rejection(port.request({ method: 'never' }))).code).to.equal('ERR_REXPORT_TIMEOUT');
    }
    expect(port.restarts).to.equal(1);
  });

  it('does not hang while it answers others, nor for many deadlines of one moment', async () => {
    await using port = rpc();
    await ask(port, 'echo', 'warm');
    for (let round = 0; round < 5; round += 1) {
      await rejection(port.request({ method: 'never' }, { timeoutMs: 30 }));
      expect(await ask(port, 'echo', round)).to.equal(round);
    }
    const herd = Array.from({ length: 20 }, () => rejection(port.request({ method: 'never' }, { timeoutMs: 30 })));
    await Promise.all(herd);
    expect(port.restarts).to.equal(0);
  });

  it('is not replaced when it is busy for longer than one deadline, or for any number of aborts', async () => {
    await using port = rpc();
    await ask(port, 'echo', 'warm');
    const busy = ask(port, 'busy', 300);
    await rejection(port.request({ method: 'echo' }, { timeoutMs: 100 }));
    for (let round = 0; round < 5; round += 1) {
      const controller = new AbortController();
      const aborted = rejection(port.request({ method: 'echo' }, { signal: controller.signal }));
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await aborted;
    }
    expect(await busy).to.equal(300);
    expect(port.restarts).to.equal(0);
  });
});

describe('Port with a protocol: start', () => {
  it('gets the greeting though it awaits something else first; a log, noise and a call go each to its place', async () => {
    const seen: unknown[] = [];
    const calls: unknown[] = [];
    await using port = rpc(
      {
        async start(child) {
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(String(await child.receive()));
        },
      },
      { mode: 'greets', onCall: ({ method }) => (calls.push(method), 'me') },
    );
    const events = eventsOf(port);
    const strays: string[] = [];
    port.on('unexpected', (_child, message) => strays.push(String(message)));
    expect(await ask(port, 'echo', 1)).to.equal(1);
    expect([seen, strays, calls]).to.deep.equal([['hello'], ['not json'], ['who']]);
    while (!events.some(({ method }) => method === 'answered')) await once(port, 'message');
    expect(events[0]).to.deep.equal({ method: 'log', params: 'up' });
  });

  it('may wait for an event that comes in the same chunk as the reply before it', async () => {
    const listening: { port?: Rpc } = {};
    await using port = rpc({
      async start(child) {
        await child.request({ method: 'event then reply' });
        const [event] = (await once(listening.port!, 'message')) as [JsonRpcMessage];
        expect(event).to.deep.equal({ method: 'ready' });
      },
    });
    listening.port = port;
    expect(await ask(port, 'echo', 1)).to.equal(1);
  });

  it('runs for each child before its first request, with ids and deadlines of its own', async () => {
    const started: unknown[] = [];
    await using port = rpc({
      async start(child) {
        started.push(await child.request({ method: 'echo', params: child.generation }, { timeoutMs: 10_000 }));
        child.send({ method: 'initialized' });
      },
    });
    const events = eventsOf(port);
    await ask(port, 'echo');
    await rejection(ask(port, 'die', 1));
    await ask(port, 'echo');
    expect(started).to.deep.equal([1, 2]);
    expect(events.filter(({ method }) => method === 'noted')).to.have.length(2);
  });

  it('that the child dies in rejects what it awaits with how it died; the port is given up for it in the end', async () => {
    const reasons: Error[] = [];
    await using port = rpc(
      {
        maxRestarts: 1,
        backoff: { minMs: 1, maxMs: 1 },
        start: async (child) => {
          await child.receive();
          await child.receive().catch((error: Error) => {
            reasons.push(error);
            throw error;
          });
        },
      },
      { mode: 'dies' },
    );
    expect((await rejection(ask(port, 'echo'))).code).to.equal('ERR_REXPORT_BROKEN');
    for (const error of reasons) expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 4 });
    expect(reasons).to.have.length(2);
  });

  it('that throws is a crash, whose cause is what it threw', async () => {
    const thrown = new Error('no licence');
    await using port = rpc({ maxRestarts: 0, start: () => Promise.reject(thrown) });
    const error = await rejection(ask(port, 'echo'));
    expect(error.code).to.equal('ERR_REXPORT_BROKEN');
    expect((error.cause as Error).cause).to.equal(thrown);
  });

  it('that takes too long ends the child; a request due meanwhile has phase `start` and costs none', async () => {
    await using port = rpc({
      startTimeoutMs: 400,
      maxRestarts: 0,
      start: async (child) => {
        child.receive().catch(() => undefined);
        await forever();
      },
    });
    const due = await rejection(port.request({ method: 'echo' }, { timeoutMs: 150 }));
    expect(due).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'start' });
    expect(port.restarts).to.equal(0);
    const error = await rejection(ask(port, 'echo'));
    expect(error.code).to.equal('ERR_REXPORT_BROKEN');
    expect((error.cause as Error).cause).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'start' });
  });
});

describe('Port with a protocol: a request that is aborted while start() runs', () => {
  it('is rejected at once and costs no child, and those behind it are answered when start() is done', async () => {
    let prepared = (): void => undefined;
    const started: number[] = [];
    await using port = rpc({
      start: (child) => {
        started.push(child.generation);
        return new Promise((resolve) => (prepared = resolve));
      },
    });
    const controller = new AbortController();
    const aborted = rejection(port.request({ method: 'echo' }, { signal: controller.signal }));
    const behind = ask(port, 'echo', 'behind');
    while (started.length === 0) await once(port, 'spawn');
    controller.abort();
    expect((await aborted).name).to.equal('AbortError');
    expect([port.state, port.pending]).to.deep.equal(['starting', 1]);
    prepared();
    expect(await behind).to.equal('behind');
    expect([started, port.restarts]).to.deep.equal([[1], 0]);
  });
});

function forever(): Promise<void> {
  return new Promise(() => undefined);
}

describe('Port with a protocol: stop', () => {
  it('runs after the last reply and before the end of the input: at close and at a planned replacement', async () => {
    const seen: unknown[] = [];
    const port = rpc({
      async stop(child) {
        seen.push([child.generation, await child.request({ method: 'echo', params: 'bye' })]);
      },
    });
    const exits: unknown[] = [];
    port.on('exit', (_child, { exitCode }) => exits.push(exitCode));
    await ask(port, 'echo');
    const last = ask(port, 'busy', 50);
    port.restart();
    expect(await last).to.equal(50);
    while (exits.length < 1) await once(port, 'exit');
    await ask(port, 'echo');
    await port.close();
    expect([seen, exits]).to.deep.equal([
      [
        [1, 'bye'],
        [2, 'bye'],
      ],
      [0, 0],
    ]);
  });

  it('runs when a child of a pool leaves that had nothing to do', async () => {
    const seen: unknown[] = [];
    await using pool = new PortPool<JsonRpcMessage, unknown, JsonRpcMessage>('perl', RPC, {
      framing: lines(),
      protocol: mcp(),
      size: 1,
      idleTimeoutMs: 40,
      stop: async (child) => void seen.push(await child.request({ method: 'echo', params: 'bye' })),
    });
    const exited = once(pool as EventEmitter, 'exit');
    await pool.request({ method: 'echo' });
    const [, { exitCode }] = (await exited) as [unknown, { exitCode: number }];
    expect([seen, exitCode, pool.restarts]).to.deep.equal([['bye'], 0, 0]);
  });

  it('does not run after a death, nor at destroy()', async () => {
    let stops = 0;
    const port = rpc({ stop: () => void (stops += 1) });
    await ask(port, 'echo');
    await rejection(ask(port, 'die', 2));
    await ask(port, 'echo');
    await port.destroy();
    expect(stops).to.equal(0);
  });

  for (const [what, stop] of [
    ['hangs', forever],
    ['throws', () => Promise.reject(new Error('no'))],
  ] as const) {
    it(`that ${what} ends with closeTimeoutMs, and the child is gone`, async () => {
      const port = rpc({ closeTimeoutMs: 100, stop });
      const [{ pid }] = (await Promise.all([once(port, 'spawn'), ask(port, 'echo')]))[0] as [{ pid: number }];
      await port.close();
      expect(isAlive(pid)).to.equal(false);
    });
  }

  it('a child that stays after the end of its input is gone after closeTimeoutMs', async () => {
    const port = rpc({ closeTimeoutMs: 100 }, { mode: 'stays' });
    const exit = once(port, 'exit');
    await ask(port, 'echo');
    await port.close();
    expect((await exit)[1]).to.include({ signal: 'SIGTERM' });
  });
});

describe('Port with a protocol: calls of the child', () => {
  it('are answered, also by a handler that asks the child back, with maxInFlight 1', async () => {
    await using port = rpc(
      { maxInFlight: 1 },
      { onCall: async ({ params }, child) => [params, await child.request({ method: 'echo', params: 'back' })] },
    );
    expect(await ask(port, 'call', 5)).to.deep.equal([5, 'back']);
  });

  it('whose handler throws are answered by an error; without a handler, by "method not found"', async () => {
    await using refusing = rpc({}, { onCall: () => Promise.reject(new JsonRpcError(-3, 'never')) });
    expect(await ask(refusing, 'call')).to.deep.equal({ code: -3, message: 'never' });
    await using port = rpc();
    expect(await ask(port, 'call')).to.include({ code: -32601 });
  });

  it('whose result JSON cannot say are answered by an error', async () => {
    const results = [() => undefined, 1n];
    await using port = rpc({}, { onCall: ({ params }) => results[Number(params)] });
    for (const n of results.keys()) expect(await ask(port, 'call', n)).to.include({ code: -32603 });
    expect(port.restarts).to.equal(0);
  });

  it('are answered while the port closes', async () => {
    const port = rpc({}, { onCall: () => new Promise((resolve) => setTimeout(resolve, 50, 'late')) });
    const reply = ask(port, 'call');
    await once(port, 'spawn');
    const closing = port.close();
    expect(await reply).to.equal('late');
    await closing;
  });

  it('have their result dropped after the end of the child, and the next child is told nothing of it', async () => {
    let answer: (value: string) => void = () => undefined;
    let called: (pid: number | undefined) => void = () => undefined;
    const pid = new Promise<number | undefined>((resolve) => (called = resolve));
    const result = new Promise<string>((resolve) => (answer = resolve));
    await using port = rpc({}, { onCall: (_call, child) => (called(child.pid), result) });
    const reply = rejection(ask(port, 'call'));
    process.kill((await pid)!, 'SIGKILL');
    expect(await reply).to.include({ signal: 'SIGKILL' });
    const events = eventsOf(port);
    expect(await ask(port, 'echo', 'next')).to.equal('next');
    answer('late');
    expect(await ask(port, 'echo', 'on')).to.equal('on');
    // it tells of each answer that it is given
    expect(events).to.deep.equal([]);
  });

  it('ten thousand at once, whose handlers hang, leave the output unread at a number', async () => {
    let running = 0;
    await using port = rpc({}, { onCall: () => ((running += 1), forever()) });
    const replied = ask(port, 'calls', 10_000).then(
      () => 'replied',
      () => 'closed',
    );
    while (running < 256) await new Promise((resolve) => setImmediate(resolve));
    for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
    // what is in one chunk is handled whole
    expect(running).to.be.below(2000);
    await port.destroy();
    expect(await replied).to.equal('closed');
  });
});

describe('Port with a protocol: send, cancel and progress', () => {
  it('send keeps the order of the calls, takes no place, and resolves when it is written', async () => {
    await using port = rpc({ maxInFlight: 1 });
    const events = eventsOf(port);
    const all = [ask(port, 'echo', 1), port.send({ method: 'a' }), ask(port, 'echo', 2), port.send({ method: 'b' })];
    await Promise.all(all);
    while (events.length < 2) await once(port, 'message');
    expect(events.map(({ params }) => (params as JsonRpcMessage).method)).to.deep.equal(['a', 'b']);
    expect(port.pending).to.equal(0);
  });

  it('send that no child was given goes to the next one', async () => {
    await using port = rpc({ maxInFlight: 1 });
    const events = eventsOf(port);
    await rejection(ask(port, 'die', 1));
    expect(port.state).to.not.equal('ready');
    await port.send({ method: 'kept' });
    while (events.length < 1) await once(port, 'message');
    expect((events[0]?.params as JsonRpcMessage).method).to.equal('kept');
  });

  it('send that a child was given is not repeated to the next one', async () => {
    await using port = rpc();
    const events = eventsOf(port);
    await port.send({ method: 'once' });
    while (events.length < 1) await once(port, 'message');
    await rejection(ask(port, 'die', 1));
    await port.send({ method: 'to the next' });
    await ask(port, 'echo');
    expect(events.map(({ params }) => (params as JsonRpcMessage).method)).to.deep.equal(['once', 'to the next']);
    expect(port.restarts).to.equal(1);
  });

  it('a listener for `message` that throws does so in the process, and the child stays in step', async () => {
    const thrown = new Error('of the listener');
    await using port = rpc();
    port.on('message', () => {
      throw thrown;
    });
    const reached = await thrownToProcess(async () => {
      await port.send({ method: 'note' });
      expect(await Promise.all([1, 2, 3].map((n) => ask(port, 'echo', n)))).to.deep.equal([1, 2, 3]);
    });
    expect(reached).to.deep.equal([thrown]);
    expect(port.restarts).to.equal(0);
  });

  it('cancel tells the child once, only of what it was given', async () => {
    await using port = rpc({ maxInFlight: 1 });
    const events = eventsOf(port);
    await ask(port, 'echo', 'warm');
    const controllers = [new AbortController(), new AbortController()];
    const aborted = controllers.map(({ signal }) => rejection(port.request({ method: 'never' }, { signal })));
    await new Promise((resolve) => setImmediate(resolve));
    for (const controller of controllers.toReversed()) controller.abort();
    await Promise.all(aborted);
    expect(await ask(port, 'echo', 'on')).to.equal('on');
    while (events.length < 1) await once(port, 'message');
    const noted = events.map(({ params }) => (params as JsonRpcMessage).method);
    expect(noted).to.deep.equal(['notifications/cancelled']);
  });

  it('cancel is not called for a request whose child has ended, that was answered, or that was not written', async () => {
    const cancelled: number[] = [];
    const protocol: Protocol<JsonRpcMessage, unknown, JsonRpcMessage> = {
      ...mcp(),
      cancel: (id) => cancelled.push(id),
    };
    await using port = new Port('perl', RPC, { framing: lines(), protocol, maxInFlight: 8 });
    await port.request({ method: 'echo' });
    const answered = new AbortController();
    const reply = port.request({ method: 'echo', params: 1 }, { signal: answered.signal });
    await reply.finally(() => answered.abort());
    const unwritten = new AbortController();
    const hasty = rejection(port.request({ method: 'echo' }, { signal: unwritten.signal }));
    unwritten.abort();
    await hasty;
    const dead = new AbortController();
    port.once('exit', () => dead.abort());
    const aborted = rejection(port.request({ method: 'never' }, { signal: dead.signal }));
    await rejection(port.request({ method: 'die', params: 1 }));
    expect(await aborted).to.have.property('name', 'AbortError');
    expect(await port.request({ method: 'echo', params: 'next' })).to.equal('next');
    expect(cancelled).to.deep.equal([]);
  });

  it('progress is handed to its request alone, and begins runTimeoutMs anew', async () => {
    await using port = rpc();
    await ask(port, 'echo', 'warm');
    const values: unknown[] = [];
    const reply = await port.request(
      { method: 'progress', params: { times: 6, everyMs: 100 } },
      { runTimeoutMs: 400, onProgress: (value) => values.push((value as { progress: number }).progress) },
    );
    expect(reply).to.equal('done');
    expect(await ask(port, 'echo', 1)).to.equal(1);
    expect(values).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(await ask(port, 'progress', { times: 1 }), 'without onProgress').to.equal('no token');
  });

  it('a line that is no JSON is unexpected, and costs nobody', async () => {
    await using port = rpc();
    const strays: string[] = [];
    port.on('unexpected', (_child, message) => strays.push(String(message)));
    expect(await ask(port, 'noise', 1)).to.equal(1);
    expect(strays).to.deep.equal(['Warning: this is no JSON']);
    expect(port.restarts).to.equal(0);
  });
});

describe('Port with a protocol: its options', () => {
  const protocol = mcp();

  it('refuses encode, decode or the options of a prefix beside it', () => {
    const wrong = (options: object): Port => new Port('cat', options);
    expect(() => wrong({ protocol, encode: String })).to.throw(
      TypeError,
      /`protocol` without .* got `encode` beside it/,
    );
    expect(() => wrong({ protocol, decode: String })).to.throw(TypeError, /got `decode` beside it/);
    expect(() => wrong({ framing: lines(), packet: 2 })).to.throw(
      TypeError,
      /`framing` without .* got `packet` beside it/,
    );
    expect(() => wrong({ framing: {} })).to.throw(TypeError, /parser\(\) and writer\(\)/);
    expect(() => wrong({ protocol: {} })).to.throw(TypeError, /encode\(\) and receive\(\)/);
    expect(() => wrong({ start: 1 })).to.throw(TypeError, /`start` to be a function, got 1/);
  });

  it('receive() that throws replaces the child with that as cause; encode() that throws rejects its request', async () => {
    const thrown = new Error('mine');
    const throwing: Protocol<string, string> = {
      ids: false,
      encode: (message) => {
        if (message === 'bad') throw thrown;
        return message;
      },
      receive: (message) => {
        if (String(message) === 'fatal') throw thrown;
        return incoming.reply(String(message));
      },
    };
    await using port = new Port('cat', { framing: lines(), protocol: throwing });
    expect(await rejection(port.request('bad'))).to.equal(thrown);
    expect(await port.request('a')).to.equal('a');
    const error = await rejection(port.request('fatal'));
    expect([error, error.cause]).to.include(thrown);
    expect(await port.request('b')).to.equal('b');
    expect(port.restarts).to.equal(1);
  });

  it('infers the types of requests, replies and events', () => {
    const typed = new Port('cat', {
      framing: lines(),
      protocol: mcp(),
      start: async (child) => void (await child.receive()),
    });
    expectTypeOf<typeof typed.request>().parameter(0).toEqualTypeOf<JsonRpcMessage>();
    typed.on('message', (event) => expectTypeOf(event).toEqualTypeOf<JsonRpcMessage>());
    expectTypeOf<PortPool>().not.toHaveProperty('send');
  });
});

describe('JSON-RPC: an answer that settles no request keeps nobody waiting', () => {
  const answering = (...answers: readonly string[]): Rpc =>
    new Port('sh', ['-c', 'read -r x; printf "%s\\n" "$@"; while read -r x; do :; done', 'sh', ...answers], {
      framing: lines(),
      protocol: jsonRpc(),
      maxRestarts: 100,
    });

  it('a reply with neither a result nor an error rejects its request', async () => {
    await using port = answering('{"jsonrpc":"2.0","id":1}');
    const error = await rejection(port.request({ method: 'x' }));
    expect(error.message).to.equal('expected a reply with a result or an error, got {"jsonrpc":"2.0","id":1}');
    expect(port.restarts).to.equal(0);
  });

  it('several messages in one array break the protocol', async () => {
    await using port = answering('[{"jsonrpc":"2.0","id":1,"result":1}]');
    const error = await rejection(port.request({ method: 'x' }));
    expect(error).to.have.property('code', 'ERR_REXPORT_EXIT');
    expect(String(error.cause)).to.include('expected one message at a time, got an array of 1');
  });

  it('an error without an id that says that nothing of ours could be read breaks the protocol, with that as cause', async () => {
    await using port = answering('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}');
    const error = await rejection(port.request({ method: 'x' }));
    expect(error).to.have.property('code', 'ERR_REXPORT_EXIT');
    expect(error.cause).to.be.instanceOf(JsonRpcError).and.include({ code: -32700, message: 'Parse error' });
    expect(port.restarts).to.equal(1);
  });

  it('an error without an id that answers a notification is unexpected, and costs nobody', async () => {
    const refusal = '{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}';
    await using port = answering(refusal, '{"jsonrpc":"2.0","id":1,"result":5}');
    const strays: string[] = [];
    port.on('unexpected', (_child, message) => strays.push(String(message)));
    expect(await port.request({ method: 'x' })).to.equal(5);
    expect([strays, port.restarts]).to.deep.equal([[refusal], 0]);
  });
});

describe('Port by lines, without a protocol', () => {
  it('asks and answers a line each; a child killed inside a line leaves nothing to the next', async () => {
    const script = 'while read -r x; do case $x in die) printf "half of"; kill -9 $$;; *) echo "$x!";; esac; done';
    await using port = new Port('sh', ['-c', script], { framing: lines(), maxInFlight: 2 });
    expect(String(await port.request('a'))).to.equal('a!');
    const dead = rejection(port.request('die'));
    const behind = String(await port.request('b', { idempotent: true }));
    expect(await dead).to.include({ signal: 'SIGKILL' });
    expect([behind, String(await port.request('c')), port.restarts]).to.deep.equal(['b!', 'c!', 1]);
  });

  type Programs = Record<string, { readonly args: readonly string[]; readonly request: (n: number) => string }>;
  const bc: Programs = { bc: { args: ['-q'], request: (n) => `${n} * ${n}` } };
  const others: Programs = {
    jq: { args: ['-c', '--unbuffered', '.n * .n'], request: (n) => JSON.stringify({ n }) },
    sqlite3: { args: ['-batch', ':memory:'], request: (n) => `select ${n} * ${n};` },
  };
  for (const [program, { args, request }] of Object.entries({ ...bc, ...stressed(others, {}) })) {
    it(`drives ${program} in a pool whose members are killed: nothing lost, nothing crossed`, async function () {
      requirePrograms(this, program);
      await using pool = new PortPool(program, args, { ...manyLives, framing: lines() });
      const numbers = Array.from({ length: 300 }, (_, n) => n);
      const { replies, kills } = await askUnderKills(pool, numbers.map(request), 60);
      expect(replies.map(String)).to.deep.equal(numbers.map((n) => String(n * n)));
      expect(kills).to.be.above(0);
    });
  }
});
