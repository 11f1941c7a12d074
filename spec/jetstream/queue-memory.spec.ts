import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import type { Flow, Held } from '../programs/queue-flow';
import { NatsServer, Opened, startHostProcessOf } from '../support/nats';
import { until } from '../support/processes';
import { programPath, startProgram } from '../support/programs';
import { requirePrograms, skipWithout, stressed } from '../support/stress';

const MEBIBYTE = 1024 * 1024;
/** What goes through, half of it as large rows: whatever keeps all of it grows by more than it may, as there are rows and replies. */
const TRAFFIC_MIB = stressed(1024, 8);
/**
 * By how many MiB it may grow. The peak has what Node takes to come to its speed, and what the garbage collector leaves
 * lying, 75 as a rule: little traffic does not show in it.
 */
const bounds = stressed<Partial<Held>>({ live: 8, peak: 112 }, { live: 8 });

describe('the memory of a queue', () => {
  let server: NatsServer;
  const opened = new Opened();

  before(function () {
    requirePrograms(this, 'nats-server', 'perl');
    if (!existsSync('/proc/self/status')) skipWithout(this, '/proc/self/status');
  });
  beforeEach(async () => {
    server = await NatsServer.start();
    opened.add(() => server.stop());
  });
  afterEach(() => opened.closeAll());

  it('stays as it is while large rows and many rows go through, with sinks that stop and a server that is killed', async () => {
    const worker = await startWorker();
    const half = (TRAFFIC_MIB * MEBIBYTE) / 2;
    const producer = startProducer([
      { job: 'large', bytes: 64 * 1024, rows: half / (64 * 1024), window: 8, batch: 1 },
      { job: 'many', bytes: 4 * 1024, rows: half / (4 * 1024), window: 64, batch: 16 },
    ]);
    const samples: Record<'worker' | 'producer', Held>[] = [];
    for (const isServerKilled of [false, true, false]) {
      await producer.stopped();
      if (isServerKilled) {
        await server.kill();
        await server.start();
      }
      samples.push({ worker: await worker.held(), producer: await producer.held() });
    }
    await producer.ended();
    for (const [measure, bound] of Object.entries(bounds)) {
      for (const side of ['worker', 'producer'] as const) {
        const [first = 0, ...later] = samples.map((held) => held[side][measure as keyof Held] / MEBIBYTE);
        expect(Math.max(...later) - first, `${measure} of the ${side}`).to.be.below(bound);
      }
    }
  }).timeout(300_000);

  async function startWorker(): Promise<{ held: () => Promise<Held> }> {
    const asked = programPath('live-bytes-asked');
    const worker = startHostProcessOf(['--require', asked], server, opened, 'flow', '--ack-wait', '2000');
    expect(await until(() => worker.said().includes('serving'))).to.equal(true);
    let times = 0;
    return {
      held: async () => {
        times += 1;
        worker.kill('SIGUSR2');
        const answers = (): string[] => [...worker.said().matchAll(/^live (\d+)$/gm)].map(([, bytes]) => bytes!);
        expect(await until(() => answers().length === times)).to.equal(true);
        const [, kibibytes] = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8')) ?? [];
        return { live: Number(answers().at(-1)), peak: Number(kibibytes) * 1024 };
      },
    };
  }

  function startProducer(flows: readonly Flow[]): {
    stopped: () => Promise<void>;
    held: () => Promise<Held>;
    ended: () => Promise<void>;
  } {
    const { process: producer, ended } = startProgram('queue-flow', [server.url, 'flow', JSON.stringify(flows)]);
    opened.add(() => producer.kill('SIGKILL'));
    const lines = createInterface({ input: producer.stdout! })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const line = await lines.next();
      if (line.done) throw new Error(`the producer has ended: ${(await ended).stderr}`);
      return line.value;
    };
    return {
      stopped: async () => expect(await next()).to.equal('stopped') && undefined,
      held: async () => {
        producer.stdin!.write('\n');
        return JSON.parse(await next()) as Held;
      },
      ended: async () => {
        const { code, stderr } = await ended;
        expect(code, stderr).to.equal(0);
      },
    };
  }
});
