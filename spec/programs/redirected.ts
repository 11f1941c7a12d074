/**
 * `redirected.js MEGABYTES`: that many from a file to a file, through one program and then through three. Prints as JSON how
 * many bytes arrived, and how many this process read and wrote in the meantime, by the system's own count.
 */
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';

/** Of all threads; the process's own count has those of its children in it once they are reaped. */
function own(what: 'rchar' | 'wchar'): number {
  const counts = readdirSync('/proc/self/task').map((task) => readFileSync(`/proc/self/task/${task}/io`, 'latin1'));
  return counts.reduce((sum, count) => sum + Number(new RegExp(`${what}: (\\d+)`).exec(count)?.[1]), 0);
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'rexport-redirected-'));
  const [input, output] = [path.join(folder, 'in'), path.join(folder, 'out')];
  writeFileSync(input, Buffer.alloc(Number(process.argv[2]) * 1e6, 'all that matters\n'));
  const answer: unknown[] = [];
  for (const count of [1, 3]) {
    const ports = Array.from({ length: count }, () => new PortDuplex('cat', { redirect: true }));
    const [read, written] = [own('rchar'), own('wchar')];
    await pipeline([createReadStream(input), ...ports, createWriteStream(output)]);
    const bytes = statSync(output).size;
    answer.push({ bytes, read: own('rchar') - read, written: own('wchar') - written });
  }
  rmSync(folder, { recursive: true });
  process.stdout.write(JSON.stringify(answer));
}

void main();
