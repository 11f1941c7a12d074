import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { MessageTooLargeError, type Message } from '../../lib/index';
import { DeadLetterError, PortQueue, type PortQueueOptions, serveQueue } from '../../lib/jetstream';
import { answers, managerOf, NatsServer, numbered, Opened, startHost, through } from '../support/nats';
import { until } from '../support/processes';
import { requirePrograms } from '../support/stress';

describe('the producers of a queue: PortQueue', () => {
  let server: NatsServer;
  const opened = new Opened();
  let connection: NatsConnection;
  let count = 0;

  before(async function () {
    requirePrograms(this, 'nats-server', 'perl');
    server = await NatsServer.start();
  });
  after(() => server?.stop());
  beforeEach(async () => {
    connection = await server.connect();
    const own = connection;
    opened.add(() => own.close());
  });
  afterEach(() => opened.closeAll());

  function newQueue<Request = Message, Reply = Buffer>(
    options: PortQueueOptions<Request, Reply> = {},
    name = `rows-${++count}`,
  ): PortQueue<Request, Reply> {
    const queue = new PortQueue<Request, Reply>(connection, name, options);
    opened.add(() => queue.close());
    return queue;
  }

  /** What the server keeps: rows, replies (the notes of jobs among them), consumers of replies. */
  async function kept(queue: PortQueue): Promise<{ rows: number; replies: number; readers: number }> {
    const { streams } = await managerOf(connection);
    const [rows, replies] = await Promise.all([
      streams.info(`${queue.name}_ROWS`),
      streams.info(`${queue.name}_REPLIES`),
    ]);
    const readers = replies.state.consumer_count;
    return { rows: rows.state.messages, replies: replies.state.messages, readers };
  }

  /** The first life of a job: ends as a killed producer does, with the replies at the server. */
  async function leaveBehind(queue: PortQueue, rows: readonly string[], batch: number): Promise<void> {
    const stage = queue.transform({ job: 'import', batch });
    stage.on('error', () => {});
    for (const row of rows) stage.write(row);
    const { streams } = await managerOf(connection);
    for (let done = 0; done < rows.length;) {
      done = await streams.info(`${queue.name}_ROWS`).then(
        ({ state }) => (state.messages === 0 && state.last_seq > 0 ? rows.length : 0),
        () => 0,
      );
    }
    stage.destroy();
    await once(stage, 'close');
  }

  it('do not compute again what was answered in an earlier life, and take up a job where its file ends', async () => {
    const queue = newQueue();
    const host = await startHost(server, opened, queue.name);
    const rows = numbered(30);
    await leaveBehind(queue, rows.slice(0, 20), 1);
    const second = newQueue({}, queue.name);
    const out = await through(second, rows.slice(5), { job: 'import', from: 5 });
    expect(out).to.deep.equal(answers(rows.slice(5)));
    expect((await host.stop()).rows).to.equal(30);
    expect(second.statistics().rows).to.equal(10);
  });

  it('lose no row where the second life cuts its batches elsewhere', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    const rows = numbered(50);
    await leaveBehind(queue, rows.slice(0, 20), 8);
    const out = await through(newQueue({}, queue.name), rows.slice(3), { job: 'import', from: 3, batch: 7 });
    expect(out).to.deep.equal(answers(rows.slice(3)));
  });

  it('take no more rows than the window allows beyond what a slow sink has taken', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    let [made, taken, most] = [0, 0, 0];
    function* rows(): Generator<string> {
      for (; made < 600; made += 1) yield `row ${made}`;
    }
    const out = await through(queue, rows(), { job: 'one', window: 32, batch: 4 }, async () => {
      most = Math.max(most, made - taken);
      taken += 1;
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    });
    expect(out).to.deep.equal(answers(numbered(600)));
    // 16 rows each before the window, behind it, and in the sink
    expect(most).to.be.within(32, 32 + 48);
  });

  it('hand the same replies on in order, or as they come', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name, { pool: { size: 4 }, serve: { capacity: 8 } });
    const rows = Array.from({ length: 40 }, (_, n) => `sleep ${n % 4 === 0 ? 40 : 1} ${n}`);
    const ordered = await through(queue, rows, { job: 'one' });
    const unordered = await through(queue, rows, { job: 'two', ordered: false });
    expect(ordered).to.deep.equal(answers(rows));
    expect(unordered).to.not.deep.equal(ordered);
    expect(unordered.sort()).to.deep.equal(ordered.sort());
  });

  it('refuse a row that is too large for the server before anything of it is sent; the connection lives', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    const errors: Error[] = [];
    const rows = ['row 0', 'x'.repeat(1_048_576), 'row 2', 'y'.repeat(1_047_000)];
    const out = await through(queue, rows, {
      job: 'one',
      batch: 4,
      onError: (error) => {
        errors.push(error);
        return Buffer.from('too large');
      },
    });
    expect(out.map((reply) => reply.slice(0, 9))).to.deep.equal(['=row 0', 'too large', '=row 2', '=yyyyyyyy']);
    expect(errors).to.have.length(1);
    expect(errors[0]).to.be.instanceOf(MessageTooLargeError);
    expect(queue.statistics().rows).to.equal(3);
    const late = await queue.request(rows[1]!).then(
      () => undefined,
      (error: Error) => error.message,
    );
    expect(late).to.match(/1048576 bytes/);
    expect(String(await queue.request('row'))).to.equal('=row');
  });

  it('destroy the stage with the first dead letter where there is no `onError`, and name its row', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name, { pool: { backoff: { minMs: 1, maxMs: 1 } } });
    const error = await through(queue, ['row 0', 'die', 'row 2'], { job: 'one', from: 100 }).then(
      () => undefined,
      (reason: DeadLetterError) => reason,
    );
    expect(error).to.be.instanceOf(DeadLetterError);
    expect(error).to.include({ code: 'ERR_REXPORT_POISON', row: 101, deliveries: 1, queue: queue.name });
    expect(error?.message).to.match(
      /^row 101 of queue rows-\d+ is a dead letter after 1 delivery: \d children of perl/,
    );
  });

  it('drop the rows for which `onError` gives nothing, and go on', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name, { pool: { backoff: { minMs: 1, maxMs: 1 } } });
    const rows = numbered(12).flatMap((row, n) => (n % 4 === 0 ? ['die', row] : [row]));
    const out = await through(queue, rows, { job: 'one', window: 2, onError: () => undefined });
    expect(out).to.deep.equal(answers(numbered(12)));
  });

  it('leave no consumer at the server and no timer when a stage is destroyed, whatever was under way', async () => {
    const queue = newQueue();
    const early = queue.transform({ job: 'early' });
    early.destroy();
    await once(early, 'close');
    const stage = queue.transform({ job: 'late' });
    stage.write('nobody serves this');
    const { streams } = await managerOf(connection);
    for (let there = 0; there < 1;) {
      there = await streams.info(`${queue.name}_ROWS`).then(
        ({ state }) => state.messages,
        () => 0,
      );
    }
    expect((await kept(queue)).readers).to.equal(1);
    stage.destroy();
    await once(stage, 'close');
    expect(await kept(queue)).to.include({ rows: 1, readers: 0 });
    await queue.close();
    expect((await kept(queue)).readers).to.equal(0);
  });

  it('purge what the server has of a job at its good end, unless it is to be kept', async () => {
    const queue = newQueue();
    const host = await startHost(server, opened, queue.name);
    // The last acknowledgement may reach the server after the last reply.
    const atRest = async (): Promise<unknown> => {
      let has = await kept(queue);
      for (const until = Date.now() + 10_000; has.rows > 0 && Date.now() < until;) has = await kept(queue);
      return has;
    };
    await through(queue, numbered(10), { job: 'kept', keep: true });
    // ten replies, and the note of the job's run
    expect(await atRest()).to.deep.equal({ rows: 0, replies: 11, readers: 0 });
    await through(queue, numbered(10), { job: 'dropped' });
    expect(await atRest()).to.deep.equal({ rows: 0, replies: 11, readers: 0 });
    // a job that was kept has its replies already
    expect(await through(queue, numbered(10), { job: 'kept' })).to.deep.equal(answers(numbered(10)));
    expect(await atRest()).to.deep.equal({ rows: 0, replies: 0, readers: 0 });
    expect((await host.stop()).rows).to.equal(20);
  });

  it('do the same job again after its good end, within the time in which the server drops doubles', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    for (let n = 0; n < 3; n += 1) {
      expect(await through(queue, numbered(10), { job: 'again', batch: 5 })).to.deep.equal(answers(numbered(10)));
    }
  });

  it('give each of two jobs on one queue its own replies', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    const [a, b] = [numbered(40).map((row) => `a ${row}`), numbered(40).map((row) => `b ${row}`)];
    const other = newQueue({}, queue.name);
    const both = await Promise.all([through(queue, a, { job: 'a' }), through(other, b, { job: 'b', batch: 3 })]);
    expect(both).to.deep.equal([answers(a), answers(b)]);
  });

  it('publish rows of one turn together, up to `batch`, and never wait for more', async () => {
    const queue = newQueue();
    await startHost(server, opened, queue.name);
    await through(queue, numbered(100), { job: 'one', batch: 10 });
    expect(queue.statistics()).to.include({ rows: 100, messages: 10 });
    const stage = queue.transform({ job: 'two', batch: 10 });
    stage.write('row 0');
    expect(String((await once(stage, 'data'))[0])).to.equal('=row 0');
    stage.end();
    stage.resume();
    await finished(stage);
  });

  it('make no request of the client for a row, nor do their workers: each costs 60 to 100 us of CPU', async () => {
    const name = `rows-${++count}`;
    const counts = { worker: 0, producer: 0 };
    const counted = (who: keyof typeof counts): NatsConnection => {
      const its = Object.create(connection) as NatsConnection;
      its.request = (...args) => {
        counts[who] += 1;
        return connection.request(...args);
      };
      return its;
    };
    const drain = new AbortController();
    const pool = { request: async (row: Buffer) => `=${String(row)}` };
    const served = serveQueue(pool, counted('worker'), name, { signal: drain.signal });
    const queue = new PortQueue(counted('producer'), name);
    opened.add(() => queue.close());
    const requestsOf = async (rows: readonly string[]): Promise<typeof counts> => {
      const before = { ...counts };
      expect(await through(queue, rows, { job: 'one' })).to.deep.equal(answers(rows));
      return { worker: counts.worker - before.worker, producer: counts.producer - before.producer };
    };
    await queue.request('row');
    const requests = await requestsOf(numbered(300));
    expect(requests.worker).to.equal(0);
    // for the streams and the consumer of the job, and for its end
    expect(requests.producer).to.be.within(5, 15);
    drain.abort();
    await served;
  });

  it('encode rows and decode replies; what these throw is the failure of that row', async () => {
    const queue = newQueue<number, string>({
      encode: (number) => {
        if (number === 2) throw new Error('no 2');
        return `row ${number}`;
      },
      decode: (reply) => {
        if (String(reply) === '=row 3') throw new Error('no 3');
        return `${String(reply)}!`;
      },
    });
    await startHost(server, opened, queue.name);
    const source = Readable.from([1, 2, 3, 4]);
    const stage = queue.transform({ job: 'one', onError: (error, row) => `${row}: ${error.message}` });
    expect(await source.pipe(stage).toArray()).to.deep.equal(['=row 1!', '2: no 2', '3: no 3', '=row 4!']);
  });

  it('give up a request at its deadline or its signal; eleven on one signal raise no warning', async () => {
    const queue = newQueue();
    const abort = new AbortController();
    const warnings: Error[] = [];
    const warned = (warning: Error): number => warnings.push(warning);
    process.on('warning', warned);
    const codeOf = (request: Promise<unknown>): Promise<unknown> =>
      request.then(
        () => undefined,
        (error: { code?: string }) => error.code,
      );
    const late = codeOf(queue.request('row', { timeoutMs: 20 }));
    const aborted = Array.from({ length: 15 }, () => codeOf(queue.request('row', { signal: abort.signal })));
    expect(await late).to.equal('ERR_REXPORT_TIMEOUT');
    abort.abort();
    expect(new Set(await Promise.all(aborted))).to.deep.equal(new Set(['ABORT_ERR']));
    expect(await codeOf(queue.request('row', { signal: abort.signal }))).to.equal('ABORT_ERR');
    expect(queue.statistics().pending).to.equal(0);
    const closed = codeOf(queue.request('row'));
    await queue.close();
    expect(await closed).to.equal('ERR_REXPORT_CLOSED');
    expect(await codeOf(queue.request('row'))).to.equal('ERR_REXPORT_CLOSED');
    process.off('warning', warned);
    expect(warnings).to.deep.equal([]);
  });

  it('destroy their stages when they are closed; the job can be taken up', async () => {
    const queue = newQueue();
    const stage = queue.transform({ job: 'one' });
    stage.write('row 0');
    const failed = once(stage, 'error');
    await queue.close();
    expect(((await failed)[0] as { code: string }).code).to.equal('ERR_REXPORT_CLOSED');
    expect(() => queue.transform({ job: 'one' })).to.throw('closed');
    const again = newQueue({}, queue.name);
    await startHost(server, opened, queue.name);
    expect(await through(again, ['row 0'], { job: 'one' })).to.deep.equal(['=row 0']);
  });

  it('fail their stages when the connection is closed for good', async () => {
    const own = await server.connect();
    const queue = new PortQueue(own, `rows-${++count}`);
    await startHost(server, opened, queue.name);
    const stage = queue.transform({ job: 'one' });
    stage.write('row 0');
    await once(stage, 'data');
    const failed = once(stage, 'error');
    await own.close();
    expect(((await failed)[0] as { code: string }).code).to.equal('ERR_REXPORT_CLOSED');
    await queue.close();
  });

  it('count rows, replies and times, and tell them on the diagnostics channel `rexport:queue`', async () => {
    const queue = newQueue();
    const told: { queue: string; side: string; statistics: { replies: number } }[] = [];
    const listener = (facts: unknown): void => void told.push(facts as (typeof told)[0]);
    subscribe('rexport:queue', listener);
    const host = await startHost(server, opened, queue.name);
    await through(queue, numbered(20), { job: 'one', batch: 5 });
    const { messages, rows, replies, deadLetters, pending, rowMs, messageMs } = queue.statistics();
    expect({ messages, rows, replies, deadLetters, pending }).to.deep.equal({
      messages: 4,
      rows: 20,
      replies: 20,
      deadLetters: 0,
      pending: 0,
    });
    expect(rowMs.p50).to.be.greaterThan(0);
    expect(messageMs.p99).to.be.at.least(messageMs.p50);
    await host.stop();
    expect(await until(() => told.length === 2)).to.equal(true);
    unsubscribe('rexport:queue', listener);
    expect(told.map(({ queue: name, side, statistics }) => [name, side, statistics.replies])).to.deep.equal([
      [queue.name, 'producer', 20],
      [queue.name, 'worker', 20],
    ]);
  });

  it('refuse wrong options at once, and say what was expected', () => {
    const queue = newQueue();
    const wrong: [action: () => unknown, message: RegExp][] = [
      [() => new PortQueue(connection, 'a b'), /expected `name` to be .* got 'a b'/],
      [() => new PortQueue(connection, 'a', { storage: 'tape' as 'file' }), /`storage` to be 'file' or 'memory'/],
      [() => new PortQueue(connection, 'a', { encode: 1 as never }), /`encode` to be a function, got 1/],
      [() => queue.transform({} as never), /`job` to be .* got undefined/],
      [() => queue.transform({ job: 'a.b' }), /`job`/],
      [() => queue.transform({ job: 'a', window: 0 }), /`window` to be an integer from 1/],
      [() => queue.transform({ job: 'a', timeoutMs: 1 } as never), /timeoutMs/],
      [() => queue.transform({ job: 'a', onError: 1 as never }), /`onError` to be a function/],
    ];
    for (const [action, message] of wrong) expect(action).to.throw(message);
  });
});
