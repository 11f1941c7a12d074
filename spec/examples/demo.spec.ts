import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { scripts } from '../../package.json';

const root = path.join(__dirname, '..', '..');

describe('the demo', () => {
  let temp: string;

  beforeEach(() => (temp = mkdtempSync(path.join(tmpdir(), 'rexport-spec-'))));
  afterEach(() => rmSync(temp, { recursive: true }));

  /** What `npm run demo` runs, without npm's own words in the output. */
  function startDemo(...args: string[]): ChildProcess {
    const [command = '', ...given] = scripts.demo.split(' ');
    return spawn(process.execPath, [path.join(root, 'node_modules', '.bin', command), ...given, ...args], {
      cwd: root,
      env: { ...process.env, TMPDIR: temp },
    });
  }

  /** ts-node's own cache stays. */
  function leftovers(): string[] {
    return readdirSync(temp).filter((name) => name.startsWith('rexport'));
  }

  it('shows a filter, the way back, a chain and a failure, and leaves no file behind', async () => {
    const demo = startDemo('--megabytes', '2');
    const closed = once(demo, 'close');
    const [stdout, stderr] = await Promise.all([text(demo.stdout!), text(demo.stderr!)]);
    await closed;

    expect(stderr).to.equal('');
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/^ {2}2\.\d MB went in, 0\.\d MB came out$/m);
    expect(stdout).to.match(/^ {2}the same bytes: sha256 \w{16}\.\.\. before and after$/m);
    expect(stdout.match(/^ {2}\S+ GET \/users\/\d+ 200 in 100\d ms$/gm)).to.have.length(3);
    expect(stdout).to.match(/^ {2}Duplex\.from: +success, and 1\.\d MB of 2\.\d MB are there$/m);
    expect(stdout).to.match(/^ {2}PortDuplex: +ERR_REXPORT_EXIT, exit code 1$/m);
    expect(stdout).to.match(/^ {2}ExitError: gzip exited with code 1 after \d+ ms; its stderr:$/m);
    expect(leftovers()).to.deep.equal([]);
  });

  it('leaves no file behind when Ctrl-C ends it in the middle', async () => {
    const demo = startDemo('--megabytes', '30');
    let stdout = '';
    demo.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes('gzip -1')) demo.kill('SIGINT');
    });
    await once(demo, 'close');

    expect(demo.exitCode).to.equal(130);
    expect(stdout).not.to.include('came out');
    expect(leftovers()).to.deep.equal([]);
  });
});
