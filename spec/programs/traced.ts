/** One child that ends by itself, and one that is ended; for a look at what is traced. */
import { once } from 'node:events';
import { PortDuplex } from '../../lib/duplex/port-duplex';

async function run(): Promise<void> {
  const polite = new PortDuplex('sh', ['-c', 'exit 3', 'sh', 'secret-argument'], { env: { TOKEN: 'secret-variable' } });
  polite.on('error', () => {});
  await polite.exited;
  const stubborn = new PortDuplex('sh', ['-c', 'trap "" TERM; echo; exec sleep 30'], { forceKillAfterMs: 10 });
  await once(stubborn, 'data');
  stubborn.destroy();
  await stubborn.exited;
  process.stdout.write(JSON.stringify([polite.pid, stubborn.pid]));
}

void run();
