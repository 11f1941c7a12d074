import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { scripts } from '../../package.json';
import { requirePrograms, stressed } from '../support/stress';

/** A row that its program dies of is the 900th. In small, spec/jetstream kills workers without an example. */
const runs = stressed([{ rows: 1000, deadLetters: 1 }], []);
const root = path.join(__dirname, '..', '..');

/** What `npm run queue` runs, without npm's own words in the output. */
async function runQueue(
  env: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<{ code: number; said: string; left: string[] }> {
  const temp = mkdtempSync(path.join(tmpdir(), 'rexport-spec-'));
  const [command = '', ...own] = scripts.queue.split(' ');
  const bin = path.join(root, 'node_modules', '.bin', command);
  const child = spawn(process.execPath, [bin, ...own, ...args], {
    cwd: root,
    env: { ...process.env, ...env, TMPDIR: temp },
  });
  const closed = once(child, 'close') as Promise<[number]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await closed;
  const left = readdirSync(temp).filter((name) => name.startsWith('rexport'));
  rmSync(temp, { recursive: true });
  return { code, said: `${stdout}${stderr}`, left };
}

describe('the example of a queue', () => {
  for (const { rows, deadLetters } of runs) {
    it('has the same output as one host while its workers are killed, and leaves nothing behind', async function () {
      requirePrograms(this, 'nats-server', 'python3');
      const { code, said, left } = await runQueue({}, '--rows', String(rows));
      expect(code, said).to.equal(0);
      expect(said).to.match(/^ {2}SIGKILLs: 3 of workers, 0 of the server, 0 of the producer$/m);
      expect(said).to.include(`\n${rows} lines over the queue, ${rows} on one host, ${deadLetters} dead letters\n`);
      expect(said).to.include('The two outputs are the same, byte for byte.');
      expect(left).to.deep.equal([]);
    }).timeout(90_000);
  }

  it('says how to get a server where there is none', async () => {
    const { code, said, left } = await runQueue({ PATH: '' });
    expect(code).to.equal(1);
    expect(said).to.match(/^No nats-server on the PATH: `apt-get install nats-server`/);
    expect(left).to.deep.equal([]);
  });
});
