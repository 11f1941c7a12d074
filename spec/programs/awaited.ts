/**
 * Awaits promises of ports, one after another, each of which is then all there is to keep this process alive: `awaited.js WAY...`.
 * Prints `done` whenever one settles.
 */
import { once } from 'node:events';
import { PortDuplex } from '../../lib/duplex/port-duplex';

const polite: [string, string[]] = ['sh', ['-c', 'trap "sleep 0.1; exit 7" TERM; echo; while :; do sleep 0.01; done']];

async function started(): Promise<PortDuplex> {
  const port = new PortDuplex(...polite);
  await once(port, 'data');
  return port;
}

const ways: Record<string, () => Promise<unknown>> = {
  async exited() {
    return new PortDuplex('sleep', ['0.1']).resume().exited;
  },
  async 'exited of a port that cannot be started'() {
    return new PortDuplex('no-such-program').on('error', () => undefined).exited;
  },
  async 'asyncDispose, unref’ed'() {
    const port = await started();
    port.unref();
    return port[Symbol.asyncDispose]();
  },
  async 'close after destroy, unref’ed'() {
    const port = await started();
    port.unref().destroy();
    return once(port, 'close');
  },
  async 'exited after destroy of a program that ignores SIGTERM, unref’ed'() {
    const port = new PortDuplex('sh', ['-c', 'trap "" TERM; echo; exec sleep 30'], { forceKillAfterMs: 100 });
    await once(port, 'data');
    port.unref().destroy();
    return port.exited;
  },
};

async function main(): Promise<void> {
  for (const way of process.argv.slice(2)) {
    await ways[way]!();
    console.log('done');
  }
}

void main();
