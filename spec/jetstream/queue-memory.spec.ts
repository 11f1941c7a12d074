import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { NatsServer, Opened, startHostProcess } from '../support/nats';
import { until } from '../support/processes';
import { startProgram } from '../support/programs';
import { requirePrograms, skipWithout, stressed } from '../support/stress';

const MEBIBYTE = 1024 * 1024;
/** What goes through: whatever keeps all of it grows by more than that, as there are rows and replies. */
const TRAFFIC_MIB = stressed(512, 80);
/** What Node takes to come to its speed, and what the garbage collector leaves lying; 75 as a rule. */
const BOUND_MIB = 112;

function peakMibOf(pid: number): number {
  const [, kibibytes] = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}

interface Growth {
  readonly worker: number;
  readonly producer: number;
}

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

  /** A worker and a producer as processes: by how much they grow, when all rows are through. */
  async function startFlow(
    name: string,
    bytes: number,
    batch: number,
  ): Promise<{ stopped: Promise<unknown>; goOn: () => void; grownMib: () => Promise<Growth> }> {
    const worker = startHostProcess(server, opened, name, '--ack-wait', '2000');
    expect(await until(() => worker.said().includes('serving'))).to.equal(true);
    const startMib = peakMibOf(worker.pid);
    const rows = (TRAFFIC_MIB * MEBIBYTE) / bytes;
    const args = [server.url, name, String(rows), String(bytes), JSON.stringify({ window: batch * 16, batch })];
    const { process: producer, ended } = startProgram('queue-flow', args);
    opened.add(() => producer.kill('SIGKILL'));
    return {
      stopped: Promise.race([once(producer.stdout!, 'data'), ended]),
      goOn: () => void producer.stdin?.write('\n'),
      grownMib: async () => {
        const { code, stdout, stderr } = await ended;
        expect(code, stderr).to.equal(0);
        const { taken, grownBytes } = JSON.parse(stdout.split('\n').at(-2) ?? '') as Record<string, number>;
        expect(taken).to.equal(rows);
        return { worker: peakMibOf(worker.pid) - startMib, producer: Number(grownBytes) / MEBIBYTE };
      },
    };
  }

  it('stays as it is while large rows and many rows go through, with a sink that stops and a server that is killed', async () => {
    const flows = await Promise.all([startFlow('large', 64 * 1024, 1), startFlow('many', 4 * 1024, 16)]);
    await Promise.all(flows.map(({ stopped }) => stopped));
    await server.kill();
    await server.start();
    for (const { goOn } of flows) goOn();
    for (const grown of await Promise.all(flows.map(({ grownMib }) => grownMib()))) {
      expect(grown.worker).to.be.below(BOUND_MIB);
      expect(grown.producer).to.be.below(BOUND_MIB);
    }
  });
});
