/** `crowd.js COUNT`: that many children at once. Prints as JSON how many ended how, and what reached process. */
import { PortDuplex } from '../../lib/duplex/port-duplex';

async function outcome(): Promise<string> {
  const port = new PortDuplex('true', {
    redirect: process.env['SPEC_REDIRECT'] === 'true',
    pipes: process.env['SPEC_PIPES'] === 'true',
  });
  let ended = 'ok';
  port.on('error', ({ name, cause }) => (ended = `${name} ${(cause as NodeJS.ErrnoException).code}`));
  port.resume().end();
  await new Promise((resolve) => port.once('close', resolve));
  return ended;
}

async function main(): Promise<void> {
  const events: string[] = [];
  for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) {
    process.on(event as 'warning', (what) => events.push(`${event}: ${String(what)}`));
  }
  const all = await Promise.all(Array.from({ length: Number(process.argv[2]) }, outcome));
  const outcomes: Record<string, number> = {};
  for (const one of all) outcomes[one] = (outcomes[one] ?? 0) + 1;
  process.stdout.write(JSON.stringify({ outcomes, events }));
}

void main();
