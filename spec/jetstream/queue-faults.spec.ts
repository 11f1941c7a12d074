import { mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { PortPool } from '../../lib/index';
import { type DeadLetterError, PortQueue, serveQueue } from '../../lib/jetstream';
import {
  answers,
  type HostProcess,
  managerOf,
  NatsServer,
  numbered,
  Opened,
  startHost,
  startHostProcess,
  through,
} from '../support/nats';
import { until } from '../support/processes';
import { startProgram } from '../support/programs';
import { requirePrograms, stressed } from '../support/stress';

const perlProgram = path.join(__dirname, '..', 'programs', 'moody.pl');

describe('a queue whose parts are killed', () => {
  let server: NatsServer;
  let connection: NatsConnection;
  const opened = new Opened();

  before(function () {
    requirePrograms(this, 'nats-server', 'perl');
  });
  beforeEach(async () => {
    server = await NatsServer.start();
    opened.add(() => server.stop());
    connection = await server.connect();
    opened.add(() => connection.close());
  });
  afterEach(() => opened.closeAll());

  function newQueue(options: ConstructorParameters<typeof PortQueue>[2] = {}, name = 'faults'): PortQueue {
    const queue = new PortQueue(connection, name, options as object);
    opened.add(() => queue.close());
    return queue;
  }

  /** A worker process in whose place another is started when it has ended, as a supervisor does. */
  function supervised(name: string, ...args: string[]): { kill(): void; readonly starts: number } {
    let host: HostProcess;
    let starts = 0;
    const start = (): void => {
      if (opened.isClosing) return;
      starts += 1;
      host = startHostProcess(server, opened, name, ...args);
      void host.exited.then(start);
    };
    start();
    return {
      kill: () => host.kill('SIGKILL'),
      get starts() {
        return starts;
      },
    };
  }

  async function storedReplies(): Promise<number> {
    const { streams } = await managerOf(connection);
    // one of them is the note of the job
    return (await streams.info('faults_REPLIES')).state.messages - 1;
  }

  it('has one result per row, in order, whichever worker is killed at whatever moment', async () => {
    const queue = newQueue();
    const args = ['--ack-wait', '400', '--capacity', '2'];
    const workers = [supervised('faults', ...args), supervised('faults', ...args)];
    const rows = Array.from({ length: stressed(1000, 100) }, (_, n) => `sleep ${n % 5} ${n}`);
    const kills = stressed(10, 2);
    let done = 0;
    const out = await through(queue, rows, { job: 'one', window: 64, batch: 2 }, () => {
      done += 1;
      if (done % Math.ceil(rows.length / (kills + 1)) === 0) workers[done % 2]!.kill();
    });
    expect(out).to.deep.equal(answers(rows));
    expect(queue.statistics()).to.include({ replies: rows.length, deadLetters: 0 });
  });

  it('stores one result where a worker is killed between its reply and its acknowledgement', async () => {
    const queue = newQueue();
    const dying = await server.connect();
    const killed = Object.create(dying) as NatsConnection;
    killed.publish = (subject, data, options) => {
      if (subject.startsWith('$JS.ACK') && /^\+(ACK|NXT)/.test(String(data))) void dying.close();
      else dying.publish(subject, data, options);
    };
    const pool = new PortPool('perl', [perlProgram], { size: 1 });
    opened.add(() => pool.destroy());
    const served = serveQueue(pool, killed, 'faults', { timeoutMs: 5000, ackWaitMs: 300 });
    const out = through(queue, ['row 0'], { job: 'one', keep: true });
    const error = await served.then(
      () => undefined,
      (reason: { code?: string }) => reason,
    );
    expect(error?.code).to.equal('ERR_REXPORT_CLOSED');
    expect(await out).to.deep.equal(['=row 0']);
    expect(await storedReplies()).to.equal(1);
    const second = await startHost(server, opened, 'faults', { serve: { ackWaitMs: 300 } });
    const { consumers } = await managerOf(connection);
    let left = 1;
    while (left > 0) {
      const info = await consumers.info('faults_ROWS', 'workers');
      left = info.num_pending + info.num_ack_pending;
    }
    expect(await second.stop()).to.include({ messages: 1, duplicates: 1 });
    expect(await storedReplies()).to.equal(1);
  });

  it('is not harmed by a worker that was frozen beyond the ack wait and then woken', async () => {
    const queue = newQueue();
    const frozen = startHostProcess(server, opened, 'faults', '--ack-wait', '400', '--capacity', '3');
    const rows = Array.from({ length: 12 }, (_, n) => `sleep 60 ${n}`);
    let isFrozen = false;
    const out = through(queue, rows, { job: 'one', keep: true }, () => {
      if (!isFrozen) frozen.kill('SIGSTOP');
      isFrozen = true;
    });
    expect(await until(() => isFrozen, 10_000)).to.equal(true);
    await startHost(server, opened, 'faults', { serve: { ackWaitMs: 400 } });
    expect(await out).to.deep.equal(answers(rows));
    frozen.kill('SIGCONT');
    frozen.kill('SIGTERM');
    expect(await frozen.exited, frozen.said()).to.equal(0);
    expect(await storedReplies()).to.equal(rows.length);
  });

  it('makes a row that takes its worker with it a dead letter after `maxDeliver` deliveries, and none beside it or in its batch', async () => {
    const alone = { name: 'alone', rows: numbered(9), capacity: '3', batch: 1, starts: [3, 4] };
    const batched = { name: 'batched', rows: numbered(6), capacity: '1', batch: 6, starts: [4, 6] };
    await Promise.all(
      stressed([alone, batched], [alone]).map(
        async ({ name, rows, capacity, batch, starts: [least = 0, most = 0] }) => {
          const queue = newQueue({}, name);
          const worker = supervised(name, '--ack-wait', '300', '--capacity', capacity, '--max-deliver', '2');
          rows[2] = 'kill-host';
          const letters: DeadLetterError[] = [];
          const onError = (error: Error): Buffer => {
            letters.push(error as DeadLetterError);
            return Buffer.from('dead');
          };
          const out = await through(queue, rows, { job: 'one', batch, onError });
          expect(out).to.deep.equal(rows.map((row) => (row === 'kill-host' ? 'dead' : `=${row}`)));
          expect(letters.map(({ code, row, deliveries }) => ({ code, row, deliveries }))).to.deep.equal([
            { code: 'ERR_REXPORT_WORKER_LOST', row: 2, deliveries: 2 },
          ]);
          expect(worker.starts).to.be.within(least, most);
        },
      ),
    );
  });

  it('loses nothing when the server is killed and comes back, and is at work again within 5 s', async () => {
    const queue = newQueue();
    await startHost(server, opened, 'faults', { serve: { ackWaitMs: 1000 } });
    const rows = Array.from({ length: 150 }, (_, n) => `sleep 1 ${n}`);
    let done = 0;
    let gapMs = 0;
    let back = 0;
    const out = await through(queue, rows, { job: 'one', window: 32 }, async () => {
      done += 1;
      if (back > 0) gapMs = Math.max(gapMs, performance.now() - back);
      back = 0;
      if (done !== 50 && done !== 100) return;
      await server.kill();
      await server.start();
      back = performance.now();
    });
    expect(out).to.deep.equal(answers(rows));
    expect(gapMs).to.be.within(0, 5000);
  });

  it('waits for a server that is away: neither side fails, sends or grows', async () => {
    const queue = newQueue();
    const host = await startHost(server, opened, 'faults', { serve: { ackWaitMs: 600 } });
    expect(String(await queue.request('row'))).to.equal('=row');
    await server.kill();
    const requests = numbered(10).map((row) => queue.request(row));
    const before = connection.stats().outMsgs;
    const awayMs = stressed(60_000, 1500);
    await delay(awayMs);
    expect(connection.stats().outMsgs - before).to.be.at.most(10);
    expect(queue.statistics().pending).to.equal(10);
    await server.start();
    expect((await Promise.all(requests)).map(String)).to.deep.equal(answers(numbered(10)));
    // A server that is killed may have lost the last acknowledgement: that row is delivered again, and its reply dropped.
    expect((await host.stop()).replies).to.be.within(11, 12);
    expect(await storedReplies()).to.equal(11);
    expect(queue.statistics()).to.include({ replies: 11, pending: 0 });
  }).timeout(100_000);

  it('publishes again what a server has lost with its store, in mid-run', async () => {
    const queue = newQueue({ republishMs: 1000 });
    await startHost(server, opened, 'faults', { serve: { ackWaitMs: 1000 } });
    const rows = Array.from({ length: 100 }, (_, n) => `sleep 2 ${n}`);
    let done = 0;
    const out = await through(queue, rows, { job: 'one', window: 32, batch: 2 }, async () => {
      done += 1;
      if (done !== 40) return;
      await server.kill();
      server.loseStore();
      await server.start();
    });
    expect(out).to.deep.equal(answers(rows));
    expect(queue.statistics().returned).to.be.greaterThan(0);
  });

  it('publishes again a row that the server has lost without a restart, and reads a reply again that it has not read', async () => {
    const queue = newQueue({ republishMs: 300 });
    const reply = queue.request('row');
    const { streams } = await managerOf(connection);
    let stored = 0;
    while (stored === 0) {
      stored = await streams.info('faults_ROWS').then(
        ({ state }) => state.messages,
        () => 0,
      );
    }
    await streams.purge('faults_ROWS');
    await startHost(server, opened, 'faults');
    expect(String(await reply)).to.equal('=row');
    expect(queue.statistics().returned).to.equal(1);
  });

  it('gives the file that it would have without the kills, when the producer is killed and started again', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-queue-'));
    opened.add(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'out');
    await startHost(server, opened, 'faults', { pool: { size: 2 } });
    const count = stressed(3000, 300);
    const lines = (): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);
    const args = [server.url, 'faults', 'import', file, String(count), '{"window":64}'];
    for (const killAt of stressed([count / 6, count / 2], [count / 3])) {
      const { process: producer, ended } = startProgram('queue-producer', args);
      expect(await until(() => lines() >= killAt, 15_000)).to.equal(true);
      producer.kill('SIGKILL');
      await ended;
    }
    const { code, stderr } = await startProgram('queue-producer', args).ended;
    expect(code, stderr).to.equal(0);
    expect(readFileSync(file, 'utf8')).to.equal(`${answers(numbered(count)).join('\n')}\n`);
  });
});
