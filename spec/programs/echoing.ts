/** `echoing.js [packet] [fd3]`: an echo by servePort, which prints all the time. */
import { setImmediate as turn } from 'node:timers/promises';
import { servePort } from '../../lib/child/serve-port';

void servePort(
  async (message) => {
    console.log(`got ${message.length} bytes`);
    if (message.length % 2 === 0) await turn();
    return message;
  },
  {
    packet: Number(process.argv[2] ?? 4) as 1 | 2 | 4,
    concurrency: 4,
    channel: process.argv[3] === 'fd3' ? 'fd3' : 'stdio',
  },
);
