import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { serve } from '../../check/serve';
import { PortPool } from '../../lib/index';
import { DeadLetterError, PortQueue, serveQueue, type QueueStatistics } from '../../lib/jetstream';
import {
  answers,
  managerOf,
  NatsServer,
  numbered,
  Opened,
  startHost,
  startHostProcess,
  through,
} from '../support/nats';
import { until } from '../support/processes';
import { rejection } from '../support/streams';
import { requirePrograms } from '../support/stress';

/** Only a row that hangs is given up soon: on a busy machine a child may take long to answer the others. */
const soonIfItHangs = (row: string): number => (row === 'hang' ? 80 : 30_000);

describe('the workers of a queue: serveQueue', () => {
  let server: NatsServer;
  const opened = new Opened();
  let connection: NatsConnection;
  let count = 0;

  before(async function () {
    requirePrograms(this, 'nats-server', 'perl');
    server = await NatsServer.start();
  });
  after(() => server?.stop());
  afterEach(() => opened.closeAll());

  /** A queue that no other spec uses. */
  async function queueOf(options: ConstructorParameters<typeof PortQueue>[2] = {}): Promise<[string, PortQueue]> {
    const name = `serve-${++count}`;
    const own = await server.connect();
    opened.add(() => own.close());
    const queue = new PortQueue(own, name, options as object);
    connection = own;
    opened.add(() => queue.close());
    return [name, queue];
  }

  function letters(): { readonly all: DeadLetterError[]; readonly onError: (error: Error) => Buffer } {
    const all: DeadLetterError[] = [];
    return {
      all,
      onError: (error) => {
        all.push(error as DeadLetterError);
        return Buffer.from(`failed ${all.length}`);
      },
    };
  }

  /** The most messages that the workers held at any time of a job, as the server counts them. */
  async function mostHeld(name: string, queue: PortQueue, rows: readonly string[]): Promise<number> {
    const { consumers } = await managerOf(connection);
    let [most, isOver] = [0, false];
    const watching = (async () => {
      while (!isOver) {
        const held = await consumers.info(`${name}_ROWS`, 'workers').then(
          (info) => info.num_ack_pending,
          () => 0,
        );
        most = Math.max(most, held);
      }
    })();
    expect(await through(queue, rows, { job: 'one' })).to.deep.equal(answers(rows));
    isOver = true;
    await watching;
    return most;
  }

  it('never hold more messages than their capacity, as the server counts them', async () => {
    const [name, queue] = await queueOf();
    await startHost(server, opened, name, { pool: { size: 2 }, serve: { capacity: 3 } });
    const rows = Array.from({ length: 40 }, (_, n) => `sleep ${5 + (n % 3)}`);
    expect(await mostHeld(name, queue, rows)).to.equal(3);
  });

  it('hold as many messages as the children of their pool hold together, and one, without being told', async () => {
    const [name, queue] = await queueOf();
    await startHost(server, opened, name, { pool: { size: 2, maxInFlight: 3 } });
    const rows = Array.from({ length: 40 }, (_, n) => `sleep ${5 + (n % 3)}`);
    expect(await mostHeld(name, queue, rows)).to.equal(7);
  });

  it('keep a row that takes longer than the ack wait: it is delivered once', async () => {
    const [name, queue] = await queueOf();
    const hosts = [];
    for (let n = 0; n < 2; n += 1) hosts.push(await startHost(server, opened, name, { serve: { ackWaitMs: 900 } }));
    expect(String(await queue.request('sleep 1100'))).to.equal('=sleep 1100');
    const counts = await Promise.all(hosts.map((host) => host.stop()));
    expect(counts.reduce((sum, { messages }) => sum + messages, 0)).to.equal(1);
  });

  it('acknowledge a row again where the server did not hear that, and do not run it again', async () => {
    const [name, queue] = await queueOf();
    const own = await server.connect();
    opened.add(() => own.close());
    const deaf = Object.create(own) as NatsConnection;
    let lost = 0;
    deaf.publish = (subject, data, options) => {
      const [word, ask] = String(data).split(/ (.*)/);
      if (!subject.startsWith('$JS.ACK') || (word !== '+ACK' && word !== '+NXT') || lost === 1) {
        own.publish(subject, data, options);
        return;
      }
      lost += 1;
      if (ask !== undefined) own.publish(`$JS.API.CONSUMER.MSG.NEXT.${name}_ROWS.workers`, ask, options);
    };
    const drain = new AbortController();
    let asked = 0;
    const pool = { request: async (row: Buffer) => `=${String(row)} ${++asked}` };
    const served = serveQueue(pool, deaf, name, { ackWaitMs: 300, signal: drain.signal });
    expect(String(await queue.request('row'))).to.equal('=row 1');
    const { streams } = await managerOf(connection);
    while ((await streams.info(`${name}_ROWS`)).state.messages > 0);
    drain.abort();
    expect(await served).to.include({ messages: 1, duplicates: 0 });
    expect({ lost, asked }).to.deep.equal({ lost: 1, asked: 1 });
  });

  it('make a row that kills two children a dead letter at its first delivery; the others of its batch have replies', async () => {
    const [name, queue] = await queueOf();
    await startHost(server, opened, name, { pool: { backoff: { minMs: 1, maxMs: 1 } } });
    const rows = [...numbered(4), 'die', ...numbered(9, 5)];
    const { all, onError } = letters();
    const out = await through(queue, rows, { job: 'one', batch: 9, onError });
    expect(out).to.deep.equal([...answers(rows.slice(0, 4)), 'failed 1', ...answers(rows.slice(5))]);
    const seen = all.map(({ code, row, deliveries }) => ({ code, row, deliveries }));
    expect(seen).to.deep.equal([{ code: 'ERR_REXPORT_POISON', row: 4, deliveries: 1 }]);
    expect(queue.statistics().messages).to.equal(1);
  });

  it('make a row that hangs a dead letter with the code of a timeout after `maxDeliver`, and no row beside it', async () => {
    const [name, queue] = await queueOf();
    const serve = { maxDeliver: 3, retryDelayMs: 20 };
    await startHost(server, opened, name, { pool: { size: 1, maxInFlight: 1 }, serve, deadlineOf: soonIfItHangs });
    const rows = [...numbered(3), 'hang', ...numbered(8, 4)];
    const { all, onError } = letters();
    const out = await through(queue, rows, { job: 'one', onError });
    expect(out).to.deep.equal([...answers(rows.slice(0, 3)), 'failed 1', ...answers(rows.slice(4))]);
    const seen = all.map(({ code, row, deliveries }) => ({ code, row, deliveries }));
    expect(seen).to.deep.equal([{ code: 'ERR_REXPORT_TIMEOUT', row: 3, deliveries: 3 }]);
  });

  it('try the row of a batch that hangs again alone: the others of the batch have replies, and are asked for once', async () => {
    const [name, queue] = await queueOf();
    const serve = { maxDeliver: 2, retryDelayMs: 20 };
    const host = await startHost(server, opened, name, { pool: { size: 2 }, serve, deadlineOf: soonIfItHangs });
    const rows = [...numbered(2), 'hang', ...numbered(6, 3)];
    const { all, onError } = letters();
    const out = await through(queue, rows, { job: 'one', batch: 6, onError });
    expect(out).to.deep.equal([...answers(rows.slice(0, 2)), 'failed 1', ...answers(rows.slice(3))]);
    expect(all.map(({ code, row, deliveries }) => ({ code, row, deliveries }))).to.deep.equal([
      { code: 'ERR_REXPORT_TIMEOUT', row: 2, deliveries: 2 },
    ]);
    const { replies, deadLetters, messages } = await host.stop();
    expect({ replies, deadLetters, messages }).to.deep.equal({ replies: 5, deadLetters: 1, messages: 2 });
  });

  it('ask again for a row whose time ran out while it waited behind another: it is no fault of the row', async () => {
    const [name, queue] = await queueOf();
    let asked = 0;
    const host = await startHost(server, opened, name, {
      pool: { size: 1, maxInFlight: 1 },
      serve: { maxDeliver: 1 },
      deadlineOf: (row) => (row === 'row' && ++asked === 1 ? 50 : 30_000),
    });
    const rows = ['sleep 150', 'row'];
    expect(await through(queue, rows, { job: 'one' })).to.deep.equal(answers(rows));
    expect(asked).to.equal(2);
    expect(await host.stop()).to.include({ messages: 2, returned: 0, replies: 2 });
  });

  it('give a row the deadline of the pool, counted from the call or from the moment a child has it, or their own', async () => {
    const ways = [
      { pool: { requestTimeoutMs: 800 } },
      { pool: { runTimeoutMs: 800 } },
      { pool: { requestTimeoutMs: 60_000 }, timeoutMs: 800 },
    ];
    const errors = ways.map(async ({ pool, timeoutMs }) => {
      const [name, queue] = await queueOf();
      await startHost(server, opened, name, { pool: { size: 1, ...pool }, serve: { maxDeliver: 1, timeoutMs } });
      // A child that has never answered has `startTimeoutMs` for its first reply.
      await queue.request('row');
      return rejection(queue.request('hang'));
    });
    for (const error of await Promise.all(errors)) {
      expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', deliveries: 1 });
      expect(error.message).to.match(/800 ms/);
    }
  });

  it('give the rows of a reply that the server would not take back as dead letters of their size', async () => {
    const [name, queue] = await queueOf();
    await startHost(server, opened, name);
    const rows = ['row 0', 'big 1048000', 'big 700000', 'big 700000', 'row 4'];
    const { all, onError } = letters();
    const out = await through(queue, rows, { job: 'one', batch: 5, onError });
    expect(out.map((reply) => reply.length)).to.deep.equal([6, 8, 700_001, 700_001, 6]);
    expect(all.map(({ code, row }) => ({ code, row }))).to.deep.equal([
      { code: 'ERR_REXPORT_MESSAGE_TOO_LARGE', row: 1 },
    ]);
  });

  it('give back the rows of a pool that is broken, reject with its error, and another worker does them', async () => {
    const [name, queue] = await queueOf();
    const broken = await startHost(server, opened, name, { command: 'no-such-program', serve: { retryDelayMs: 300 } });
    const rows = numbered(5);
    const out = through(queue, rows, { job: 'one' });
    const error = await broken.served.then(
      () => undefined,
      (reason: { code?: string }) => reason,
    );
    expect(error?.code).to.equal('ERR_REXPORT_BROKEN');
    await startHost(server, opened, name);
    expect(await out).to.deep.equal(answers(rows));
  });

  it('never make a dead letter of a row that only broken pools were given', async () => {
    const [name, queue] = await queueOf();
    const reply = queue.request('row');
    for (let n = 0; n < 4; n += 1) {
      const serve = { retryDelayMs: 0, maxDeliver: 2 };
      const host = await startHost(server, opened, name, { command: 'no-such-program', serve });
      await host.served.catch(() => {});
    }
    await startHost(server, opened, name, { serve: { maxDeliver: 2 } });
    expect(String(await reply)).to.equal('=row');
  });

  it('drain at their signal: no new message, those that are held are answered once, then it resolves with counts', async () => {
    const [name, queue] = await queueOf();
    const first = await startHost(server, opened, name, { pool: { size: 2 }, serve: { capacity: 3 } });
    const rows = Array.from({ length: 9 }, (_, n) => `sleep 100 ${n}`);
    let stopped: Promise<QueueStatistics> | undefined;
    const out = through(queue, rows, { job: 'one' }, () => {
      stopped ??= first.stop();
    });
    await new Promise<void>((resolve) => {
      const look = setInterval(() => {
        if (stopped === undefined) return;
        clearInterval(look);
        resolve();
      }, 5);
    });
    const drained = await stopped!;
    expect(drained.pending).to.equal(0);
    expect(drained.replies).to.equal(drained.messages);
    expect(drained.messages).to.be.within(3, 7);
    const { consumers } = await managerOf(connection);
    expect((await consumers.info(`${name}_ROWS`, 'workers')).num_ack_pending).to.equal(0);
    const second = await startHost(server, opened, name);
    expect(await out).to.deep.equal(answers(rows));
    expect((await second.stop()).messages).to.equal(rows.length - drained.messages);
  });

  it('may start before the producer or after it, and serve a queue that is there already', async () => {
    const [name, queue] = await queueOf();
    const early = await startHost(server, opened, name);
    expect(String(await queue.request('one'))).to.equal('=one');
    await early.stop();
    const [laterName, later] = await queueOf();
    const reply = later.request('two');
    await delay(50);
    await startHost(server, opened, laterName);
    expect(String(await reply)).to.equal('=two');
    const again = queue.request('three');
    await startHost(server, opened, name);
    expect(String(await again)).to.equal('=three');
  });

  it('reject with the error of the server where the streams are missing and may not be made', async () => {
    const [name] = await queueOf();
    const host = await startHost(server, opened, name, { serve: { ensure: false } });
    const error = await host.served.then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).to.match(/stream not found/);
  });

  it('reject when their connection is closed for good, without an unhandled rejection', async () => {
    const [name, queue] = await queueOf();
    const own = await server.connect();
    const host = await startHost(server, opened, name, { pool: { size: 1 } });
    const served = serveQueue(host.pool, own, name, { timeoutMs: 1000 });
    expect(String(await queue.request('row'))).to.equal('=row');
    await own.close();
    const error = await served.then(
      () => undefined,
      (reason: { code?: string }) => reason,
    );
    expect(error?.code).to.equal('ERR_REXPORT_CLOSED');
  });

  it('refuse to start without any deadline, with an unknown option, with a name that is no word', async () => {
    const [name] = await queueOf();
    const pool = new PortPool('perl');
    expect(() => serveQueue(pool, connection, name)).to.throw(TypeError, /`timeoutMs`.* a row that hangs/);
    const own = { request: async () => 'reply', requestTimeoutMs: undefined };
    expect(() => serveQueue(own, connection, name)).to.throw(TypeError, '`requestTimeoutMs`');
    expect(() => serveQueue(pool, connection, name, { timeoutMs: 0 })).to.throw(RangeError, '`timeoutMs`');
    expect(() => serveQueue(pool, connection, name, { ackWait: 1 } as object)).to.throw(TypeError, 'ackWait');
    expect(() => serveQueue(pool, connection, 'a.b')).to.throw(RangeError, /letters, digits, - or _, got 'a.b'/);
  });

  it('take from the queue what no producer of ours has put there', async () => {
    const [name, queue] = await queueOf();
    const host = await startHost(server, opened, name);
    await queue.request('row');
    connection.publish(`${name}.rows.strange`, 'no frame');
    expect(String(await queue.request('row'))).to.equal('=row');
    const { consumers } = await managerOf(connection);
    const { num_pending } = await consumers.info(`${name}_ROWS`, 'workers');
    expect(num_pending).to.equal(0);
    expect((await host.stop()).rows).to.equal(2);
  });

  describe('as the command `rexport serve`', () => {
    it('answers rows, prints lines of statistics, and leaves with 0 when SIGTERM has drained it', async () => {
      const [name, queue] = await queueOf();
      const host = startHostProcess(server, opened, name, '--report', '0.05');
      const rows = numbered(20);
      expect(await through(queue, rows, { job: 'one' })).to.deep.equal(answers(rows));
      // all may be done before the first line is due
      expect(await until(() => /: (no rows yet|\d+ rows)/.test(host.said()))).to.equal(true);
      host.kill('SIGTERM');
      expect(await host.exited, host.said()).to.equal(0);
      expect(host.said()).to.match(/: serving\n/);
      expect(host.said()).to.match(
        /: (no rows yet|\d+ rows in \d+ messages.*)\n[^]*: ended, 20 rows in 20 messages, 20 repl/,
      );
    });

    it('leaves with 2 for wrong arguments, and tells its options when asked', async () => {
      const [name] = await queueOf();
      const process = startHostProcess(server, opened, name, '--packet', '3');
      expect(await process.exited).to.equal(2);
      const wrong = await told('--packet', '3');
      expect(wrong).to.deep.equal({ code: 2, said: process.said() });
      expect(wrong.said).to.match(/^rexport: expected --packet to be 1, 2 or 4, got 3\n\nusage: rexport serve --queue/);
      const unknown = await told('--capacity', '0');
      expect(unknown.code).to.equal(2);
      expect(unknown.said).to.match(/rexport: expected `capacity` to be an integer from 1/);
      const asked = await told('--help');
      expect(asked.code).to.equal(0);
      expect(asked.said).to.match(/^usage: rexport serve --queue NAME/);

      /** What its process exits with and prints. */
      async function told(...args: string[]): Promise<{ code: number; said: string }> {
        let said = '';
        const say = (line: string): void => void (said += `${line}\n`);
        const own = ['--queue', name, '--nats', server.url, ...args, '--', 'perl'];
        return { code: await serve(own, { out: say, err: say }), said };
      }
    });
  });
});
