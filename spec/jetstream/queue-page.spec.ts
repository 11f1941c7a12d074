import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from 'amqplib';
import { expect } from 'chai';
import { NatsServer, Opened } from '../support/nats';
import { blocksOf, page } from '../support/pages';
import { PagesProject, type StartedBlock } from '../support/pages-project';
import { RabbitServer } from '../support/rabbitmq';
import { requirePrograms, stressed } from '../support/stress';

const blocks = blocksOf(page('docs/queue.md'));
const blockWith = (word: string): (typeof blocks)[number] => blocks.find(({ code }) => code.includes(word))!;
const workers: readonly (readonly [title: string, word: string])[] = [
  ['a worker of a few lines', 'serveQueue('],
  ['a worker without a line', 'rexport serve'],
];
/** Its start takes longer than all the other specs here. Its block is compiled each time. */
const brokers = stressed([RabbitServer], []);
const log = ['start', 'ERROR disk full', 'INFO disk freed', 'ERROR disk full', 'INFO end'];

describe('the page about more than one machine', () => {
  let project: PagesProject;
  const opened = new Opened();

  before('type-check its blocks', async function () {
    this.timeout(60_000);
    project = await PagesProject.of(blocks.filter(({ language }) => ['ts', 'sh'].includes(language)));
  });
  afterEach(() => opened.closeAll());
  after(() => project?.remove());

  async function startServer(): Promise<{ NATS_URL: string }> {
    const server = await NatsServer.start();
    opened.add(() => server.stop());
    return { NATS_URL: server.url };
  }

  /** A worker of the page; it is drained in the end, and must leave well. */
  function startWorker(word: string, env: NodeJS.ProcessEnv, cwd?: string): StartedBlock {
    const block = blockWith(word);
    // npx passes no signal on, as the page says.
    const code = block.code.replace('npx rexport', `exec ${project.command}`);
    const worker = project.start({ ...block, code }, env, cwd);
    opened.add(() => {
      worker.child.kill('SIGKILL');
      return worker.run;
    });
    return worker;
  }

  async function drained({ child, run }: StartedBlock): Promise<string> {
    child.kill('SIGTERM');
    const { exitCode, stdout, stderr } = await run;
    expect(exitCode, stderr).to.equal(0);
    expect(stderr).to.equal('');
    return stdout;
  }

  it('has blocks that compile', () => {
    expect([...project.faults.values()].flat()).to.deep.equal([]);
    expect(project.faults.size).to.equal(4);
  });

  // the worker of a few lines has the other producer too
  for (const [title, word] of stressed(workers, workers.slice(1))) {
    it(`shows a producer that gets its replies from ${title}, which a SIGTERM drains`, async function () {
      this.timeout(60_000);
      requirePrograms(this, 'nats-server', 'python3');
      const env = await startServer();
      const worker = startWorker(word, env);
      const producer = blockWith("'import-41'");
      const { exitCode, stdout, stderr } = await project.start(producer, env).run;
      expect(exitCode, stderr).to.equal(0);
      expect(stdout).to.equal(producer.output);
      await drained(worker);
    });
  }

  it('shows a producer that goes on where its file ends, and writes a line that was cut anew', async function () {
    this.timeout(60_000);
    requirePrograms(this, 'nats-server', 'python3');
    const env = await startServer();
    const worker = startWorker('serveQueue(', env);
    const cwd = project.newFolder();
    const scores = path.join(cwd, 'scores.txt');
    writeFileSync(scores, 'reply 0\nreply 1\n12:00:0');
    const { exitCode, stderr } = await project.start(blockWith("'import-42'"), env, cwd).run;
    expect(exitCode, stderr).to.equal(0);
    const rows = readFileSync(path.join(cwd, 'in.log'), 'utf8').split('\n');
    expect(rows).to.have.length(log.length + 1);
    expect(readFileSync(scores, 'utf8').split('\n')).to.deep.equal(['reply 0', 'reply 1', ...rows.slice(2)]);
    await drained(worker);
  });

  for (const Broker of brokers) {
    it('shows a loop for RabbitMQ that answers each row, and puts the row that kills its program aside', async function () {
      this.timeout(120_000);
      requirePrograms(this, 'rabbitmq-server', 'python3');
      const broker = await Broker.start();
      opened.add(() => broker.stop());
      await broker.ready;
      const cwd = project.newFolder();
      const child = path.join(cwd, 'worker.py');
      const harmless = readFileSync(child, 'utf8');
      const deadly = harmless.replace(
        'return message',
        'sys.exit(3) if message == b"poison" else None; return message',
      );
      expect(deadly).to.not.equal(harmless);
      writeFileSync(child, deadly);
      const connection = await connect(broker.url);
      opened.add(() => connection.close());
      const channel = await connection.createChannel();
      const { queue: replyTo } = await channel.assertQueue('', { exclusive: true });
      const worker = startWorker('amqplib', { AMQP_URL: broker.url }, cwd);

      const rows = ['row 0', 'poison', 'row 2', 'row 3'];
      const replies = new Map<string, string>();
      let dead = '';
      await new Promise<void>((resolve, reject) => {
        const look = (): void => {
          if (replies.size === 3 && dead !== '') resolve();
        };
        const reply = channel.consume(replyTo, (message) => {
          if (message === null) return;
          replies.set(message.properties.correlationId as string, message.content.toString());
          channel.ack(message);
          look();
        });
        const letters = channel.assertQueue('scores.dead', { durable: true }).then(() =>
          channel.consume('scores.dead', (message) => {
            if (message === null) return;
            dead = message.content.toString();
            channel.ack(message);
            look();
          }),
        );
        const sent = serving(worker).then(() => {
          rows.forEach((row, n) =>
            channel.sendToQueue('scores', Buffer.from(row), { replyTo, correlationId: String(n), persistent: true }),
          );
        });
        Promise.all([reply, letters, sent]).catch(reject);
      });
      expect([...replies].sort()).to.deep.equal([
        ['0', 'row 0'],
        ['2', 'row 2'],
        ['3', 'row 3'],
      ]);
      expect(dead).to.equal('poison');
      await drained(worker);

      /** The worker makes the queue; rows that are sent before it is there would be lost. */
      async function serving({ run }: StartedBlock): Promise<void> {
        let isOver = false;
        void run.then(() => void (isOver = true));
        for (;;) {
          // a channel is closed by the question for a queue that is not there
          const probe = await connection.createChannel();
          probe.on('error', () => undefined);
          const found = await probe.checkQueue('scores').catch(() => undefined);
          if (found !== undefined) await probe.close();
          if (found !== undefined && found.consumerCount > 0) return;
          if (isOver) throw new Error(`the worker has ended: ${(await run).stderr}`);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    });
  }
});
