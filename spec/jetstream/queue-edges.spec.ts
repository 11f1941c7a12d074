import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { expect } from 'chai';
import { PortQueue, serveQueue, type ServedPool, type ServeQueueOptions } from '../../lib/jetstream';
import { answers, NatsServer, numbered, Opened, through } from '../support/nats';
import { rejection } from '../support/streams';
import { requirePrograms, stressed } from '../support/stress';

/** After which the client gives a question to the server's API up; 5 s is what the queue asks it for. */
const QUESTION_MS = stressed(5000, 300);

const echo: ServedPool = { request: async (row) => `=${String(row)}` };

describe('a queue over a connection that is not as it should be', () => {
  const opened = new Opened();

  before(function () {
    requirePrograms(this, 'nats-server', 'perl');
  });
  afterEach(() => opened.closeAll());

  async function newServer(config?: string): Promise<NatsServer> {
    const server = await NatsServer.start(config);
    opened.add(() => server.stop());
    return server;
  }

  async function connected(server: NatsServer, options?: ConnectionOptions): Promise<NatsConnection> {
    const connection = await server.connect(options);
    opened.add(() => connection.close());
    return connection;
  }

  /** A connection whose client gives questions up sooner, and the next that it gives up. */
  function hasty(connection: NatsConnection): { hurried: NatsConnection; givesUp: () => Promise<unknown> } {
    const hurried = Object.create(connection) as NatsConnection;
    const questions = new EventEmitter();
    hurried.request = (subject, payload, options) => {
      const answer = connection.request(subject, payload, { ...options, timeout: QUESTION_MS });
      answer.catch(() => questions.emit('given up'));
      return answer;
    };
    return { hurried, givesUp: () => once(questions, 'given up') };
  }

  function queueOn(connection: NatsConnection): PortQueue {
    const queue = new PortQueue(connection, 'edges');
    opened.add(() => queue.close());
    return queue;
  }

  function serveOn(
    connection: NatsConnection,
    pool = echo,
    options?: ServeQueueOptions,
  ): { drain: AbortController; served: Promise<unknown> } {
    const drain = new AbortController();
    const served = serveQueue(pool, connection, 'edges', { ...options, signal: drain.signal });
    served.catch(() => {});
    opened.add(async () => {
      drain.abort();
      await served.catch(() => {});
    });
    return { drain, served };
  }

  /** Kills the server; resolves when the connections know that it is gone. */
  async function away(server: NatsServer, ...connections: readonly NatsConnection[]): Promise<void> {
    const gone = connections.map(async (connection) => {
      for await (const { type } of connection.status()) if (type === 'disconnect') break;
    });
    await server.kill();
    await Promise.all(gone);
  }

  it('uses the inboxes of the connection, the only ones that its user may have', async () => {
    const queueSubjects = ['$JS.API.>', '$JS.ACK.>', 'edges.>'].map((subject) => `"${subject}"`).join(', ');
    const user = (name: string): string =>
      `{ user: ${name}, password: secret, permissions: {
        publish: [${queueSubjects}, "_INBOX_${name}.>"], subscribe: ["_INBOX_${name}.>"] } }`;
    const server = await newServer(`authorization { users = [${user('worker')}, ${user('producer')}] }`);
    const as = (name: string): Promise<NatsConnection> =>
      connected(server, { user: name, pass: 'secret', inboxPrefix: `_INBOX_${name}` });
    serveOn(await as('worker'));
    const queue = queueOn(await as('producer'));
    expect(await through(queue, numbered(20), { job: 'one' })).to.deep.equal(answers(numbered(20)));
  });

  it('waits for a server that is away when it begins, and when it has purged nothing of its job yet', async () => {
    await Promise.all([beginsWithout(), endsWithout()]);

    async function beginsWithout(): Promise<void> {
      const server = await newServer();
      const [a, b] = [await connected(server), await connected(server)];
      await away(server, a, b);
      const [worker, producer] = [hasty(a), hasty(b)];
      const givenUp = Promise.all([worker.givesUp(), producer.givesUp()]);
      const { drain, served } = serveOn(worker.hurried);
      const out = through(queueOn(producer.hurried), numbered(20), { job: 'one' });
      await givenUp;
      await server.start();
      expect(await out).to.deep.equal(answers(numbered(20)));
      drain.abort();
      expect(await served).to.include({ rows: 20, replies: 20 });
    }

    async function endsWithout(): Promise<void> {
      const server = await newServer();
      const connection = await connected(server);
      serveOn(await connected(server));
      const { hurried, givesUp } = hasty(connection);
      const purging = Object.create(hurried) as NatsConnection;
      let isBack: Promise<void> | undefined;
      purging.request = async (subject, ...rest) => {
        if (isBack === undefined && subject.startsWith('$JS.API.STREAM.PURGE')) {
          await away(server, connection);
          isBack = givesUp().then(() => server.start());
        }
        return hurried.request(subject, ...rest);
      };
      const queue = queueOn(purging);
      expect(await through(queue, ['row'], { job: 'one' })).to.deep.equal(['=row']);
      await isBack;
      expect(await through(queue, ['another'], { job: 'one' })).to.deep.equal(['=another']);
    }
  });

  it('sends nothing while the server is away: it would only wait in the memory of the client', async () => {
    const server = await newServer();
    const [a, b] = [await connected(server), await connected(server)];
    const rows = new EventEmitter();
    const slow: ServedPool = {
      request: async (row) => {
        rows.emit('begun');
        await once(rows, 'end');
        return `=${String(row)}`;
      },
    };
    const begun = once(rows, 'begun');
    const ackWaitMs = 300;
    const { drain, served } = serveOn(a, slow, { ackWaitMs });
    const queue = queueOn(b);
    const first = queue.request('row');
    await begun;
    await away(server, a, b);
    const sent = (): number => a.stats().outMsgs + b.stats().outMsgs;
    const before = sent();
    const second = queue.request('another');
    // of a row that takes long its worker says three times in this time that it works
    await delay(ackWaitMs);
    rows.emit('end');
    await delay(ackWaitMs);
    const sentMeanwhile = sent() - before;
    rows.on('begun', () => setImmediate(() => rows.emit('end')));
    await server.start();
    expect(String(await first)).to.equal('=row');
    expect(String(await second)).to.equal('=another');
    expect(sentMeanwhile).to.equal(0);
    drain.abort();
    await served;
  });

  it('rejects, and does not throw, where the connection of a worker is closed already', async () => {
    const server = await newServer();
    const connection = await connected(server);
    await connection.close();
    const served = serveQueue(echo, connection, 'edges', {});
    expect(await rejection(served)).to.include({ code: 'ERR_REXPORT_CLOSED' });
  });

  it('ends its worker and its stage where the connection is drained by its owner', async () => {
    const server = await newServer();
    const connection = await connected(server);
    const { served } = serveOn(connection);
    const stage = queueOn(connection).transform({ job: 'one' });
    const failed = new Promise<{ code?: string }>((resolve) => stage.once('error', resolve));
    stage.write('row');
    await new Promise((resolve) => stage.once('data', resolve));
    await connection.drain();
    expect(await rejection(served)).to.include({ code: 'ERR_REXPORT_CLOSED' });
    expect((await failed).code).to.equal('ERR_REXPORT_CLOSED');
  });

  it('drains a worker whose server is killed in the middle of that', async () => {
    const server = await newServer();
    const connection = await connected(server);
    const { drain, served } = serveOn(connection);
    expect(String(await queueOn(await connected(server)).request('row'))).to.equal('=row');
    process.kill(server.pid, 'SIGSTOP');
    drain.abort();
    await server.kill();
    await server.start();
    expect(await served).to.include({ rows: 1, pending: 0 });
  });

  it('closes a queue at once while the server is away', async () => {
    const server = await newServer();
    const connection = await connected(server);
    const queue = queueOn(connection);
    const request = rejection(queue.request('row'));
    await away(server, connection);
    const startedAt = performance.now();
    await queue.close();
    expect(performance.now() - startedAt).to.be.below(3000);
    expect(await request).to.include({ code: 'ERR_REXPORT_CLOSED' });
  });
});
