import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { PortQueue } from '../../lib/jetstream';
import { type HostProcess, managerOf, NatsServer, Opened, startHost, startHostProcess } from '../support/nats';
import { requirePrograms, stressed } from '../support/stress';

const ACK_WAIT_MS = 300;

describe('workers of a queue that are alive and come too late to say so', () => {
  let server: NatsServer;
  let connection: NatsConnection;
  const opened = new Opened();
  let folder: string;
  let count = 0;

  before(async function () {
    requirePrograms(this, 'nats-server', 'perl');
    server = await NatsServer.start();
    folder = mkdtempSync(path.join(tmpdir(), 'rexport-starved-'));
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await server?.stop();
  });
  beforeEach(async () => {
    connection = await server.connect();
    opened.add(() => connection.close());
  });
  afterEach(() => opened.closeAll());

  function newQueue(): PortQueue {
    const queue = new PortQueue(connection, `starved-${++count}`);
    opened.add(() => queue.close());
    return queue;
  }

  /** A row that is worked on until it is let go. */
  function slowRow(): { readonly row: string; readonly letGo: () => void; readonly runs: () => number } {
    const file = path.join(folder, `let-go-${count}`);
    const runs = (): number => readFileSync(`${file}.runs`).length;
    return { row: `wait ${file}`, letGo: () => writeFileSync(file, ''), runs };
  }

  function worker({ name }: PortQueue, capacity: number): HostProcess {
    const args = ['--ack-wait', `${ACK_WAIT_MS}`, '--capacity', `${capacity}`, '--max-deliver', '2', '--size', '2'];
    return startHostProcess(server, opened, name, ...args);
  }

  /** How often the server has delivered a message of the queue to any worker, and how many asks for more it has. */
  async function accountOf({ name }: PortQueue): Promise<{ deliveries: number; asks: number }> {
    // the workers need the processor too
    await delay(5);
    const { consumers } = await managerOf(connection);
    return consumers.info(`${name}_ROWS`, 'workers').then(
      (info) => ({ deliveries: info.delivered.consumer_seq, asks: info.num_waiting }),
      () => ({ deliveries: 0, asks: 0 }),
    );
  }

  async function delivered(queue: PortQueue, times: number): Promise<void> {
    while ((await accountOf(queue)).deliveries < times);
  }

  /** Until the server has given a row out again, or can give no more, as a busy machine has frozen the worker before. */
  async function freeze(host: HostProcess, queue: PortQueue): Promise<void> {
    const before = await accountOf(queue);
    host.kill('SIGSTOP');
    for (let now = before; now.deliveries === before.deliveries && now.asks > 0;) now = await accountOf(queue);
    host.kill('SIGCONT');
  }

  /** What is kept of the job: its replies, and notes that a row was to run alone. */
  async function stored({ name }: PortQueue, kind: 'replies' | 'trials'): Promise<number> {
    const { streams } = await managerOf(connection);
    const { state } = await streams.info(`${name}_REPLIES`, { subjects_filter: `${name}.${kind}.>` });
    return Object.values(state.subjects ?? {}).reduce((sum, messages) => sum + messages, 0);
  }

  it('keep the row that the server gives them again, and do not run it again', async () => {
    const queue = newQueue();
    const { row, letGo, runs } = slowRow();
    const host = worker(queue, 3);
    const reply = queue.request(row);
    await delivered(queue, 1);
    const freezes = stressed(5, 2);
    for (let n = 0; n < freezes; n += 1) {
      await freeze(host, queue);
      // comes behind what came again, and shows that this takes no room
      expect(String(await queue.request(`row ${n}`))).to.equal(`=row ${n}`);
    }
    letGo();
    expect(String(await reply)).to.equal(`=${row}`);
    expect(queue.statistics()).to.include({ replies: freezes + 1, deadLetters: 0 });
    host.kill('SIGTERM');
    expect(await host.exited, host.said()).to.equal(0);
    // twice where its acknowledgement came too late
    expect(runs()).to.be.within(1, 2);
  });

  it('make no dead letter of a row that runs alone on one of them', async () => {
    const queue = newQueue();
    const { row, letGo } = slowRow();
    const first = worker(queue, 1);
    const reply = queue.request(row);
    await delivered(queue, 1);
    const second = worker(queue, 1);
    first.kill('SIGSTOP');
    await delivered(queue, 2);
    while ((await stored(queue, 'trials')) === 0);
    second.kill('SIGSTOP');
    worker(queue, 1);
    // the third has given it back, as it runs on another
    await delivered(queue, 4);
    for (const host of [first, second]) host.kill('SIGCONT');
    letGo();
    expect(String(await reply)).to.equal(`=${row}`);
    expect(queue.statistics()).to.include({ replies: 1, deadLetters: 0 });
    expect(await stored(queue, 'replies')).to.equal(1);
  });

  it('make no dead letter of a row that has failed less often than `maxDeliver`, however often it was given out', async () => {
    const queue = newQueue();
    const name = queue.name;
    const serve = { ackWaitMs: ACK_WAIT_MS, maxDeliver: 2 };
    const early = await startHost(server, opened, name, { serve });
    await queue.request('row');
    await early.stop();
    const row = 'sleep 400';
    const reply = queue.request(row);
    const consumer = await jetstream(connection).consumers.get(`${name}_ROWS`, 'workers');
    // given to a host that never begins it
    for (let times = 0; times < 4; times += 1) (await consumer.next())?.nak();
    await delivered(queue, 5);
    let asked = 0;
    await startHost(server, opened, name, {
      pool: { size: 1 },
      serve,
      deadlineOf: () => (++asked === 1 ? 50 : 30_000),
    });
    expect(String(await reply)).to.equal(`=${row}`);
    expect(asked).to.equal(2);
  });
});
