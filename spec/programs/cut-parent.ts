/**
 * A parent that leaves while a loader of its waits for the rest of its input: `cut-parent.js WAY COMMAND ARGS...`. Prints
 * the number of the loader on one line when that is ready.
 */
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';

const [way, command = '', ...args] = process.argv.slice(2);
const loader = new PortDuplex(command, args, {
  redirect: process.env['SPEC_REDIRECT'] === 'true',
  pipes: process.env['SPEC_PIPES'] === 'true',
});

async function* source(): AsyncGenerator<string> {
  yield 'half of the rows\n';
  await once(loader, 'readable');
  process.stdout.write(`${loader.pid}\n`);
  if (way === 'throw') {
    setImmediate(() => {
      throw new Error('uncaught');
    });
  }
  // the failure of the source rejects the pipeline, and nobody handles that
  if (way === 'reject') throw new Error('the source broke');
  if (way === 'process.exit') setImmediate(() => process.exit(7));
  await new Promise(() => undefined);
}

void pipeline(source, loader, process.stderr);
