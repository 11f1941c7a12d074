/**
 * What the system refuses to an ordinary user but not to root. Prints as JSON what became of each; with `alone`, under a
 * limit of one process, of one more.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';

const NOBODY = 65_534;

async function errorOf(command: string, options: PortDuplexOptions = {}): Promise<string> {
  let message = 'none';
  const port = new PortDuplex(command, options).on('error', (error) => (message = error.message));
  port.resume().end();
  await new Promise((resolve) => port.once('close', resolve));
  return message;
}

async function main(): Promise<void> {
  // what Node and libuv open at the first use is opened while we may
  await errorOf('no-such-program');
  if (process.getuid!() === 0) {
    process.setgroups!([]);
    process.setgid!(NOBODY);
    process.setuid!(NOBODY);
  }
  if (process.argv[2] === 'alone') {
    process.stdout.write(JSON.stringify(await errorOf('true')));
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'rexport-user-'));
  const locked = path.join(folder, 'locked');
  mkdirSync(locked);
  chmodSync(locked, 0);
  const messages = {
    'a directory that may not be entered': await errorOf('true', { cwd: locked }),
    'a directory that cannot be reached': await errorOf('true', { cwd: path.join(locked, 'inner') }),
    'a program that cannot be reached': await errorOf(path.join(locked, 'program')),
    'another user': await errorOf('true', { uid: 0, gid: 0 }),
  };
  rmdirSync(locked);
  rmdirSync(folder);
  process.stdout.write(JSON.stringify({ folder, messages }));
}

void main();
