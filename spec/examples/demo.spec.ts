import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { scripts } from '../../package.json';
import { compiledPath } from '../support/programs';
import { stressed } from '../support/stress';

interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What is left in its folder for temporary files. */
  readonly leftovers: string[];
}

const root = path.join(__dirname, '..', '..');

/** What `npm run demo` runs, without npm's own words in the output; in small without ts-node. */
function command(): string[] {
  const [tsNode = '', ...args] = scripts.demo.split(' ');
  return stressed([path.join(root, 'node_modules', '.bin', tsNode), ...args], [compiledPath('examples/demo.ts')]);
}

async function runDemo(megabytes: number, interruptAfter?: string, env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const temp = mkdtempSync(path.join(tmpdir(), 'rexport-spec-'));
  const demo = spawn(process.execPath, [...command(), '--megabytes', String(megabytes)], {
    cwd: root,
    env: { ...process.env, ...env, TMPDIR: temp },
  });
  const closed = once(demo, 'close');
  let shown = '';
  demo.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
    if (interruptAfter !== undefined && shown.includes(interruptAfter)) demo.kill('SIGINT');
  });
  const [stdout, stderr] = await Promise.all([text(demo.stdout), text(demo.stderr)]);
  await closed;
  // ts-node has a cache of its own there.
  const leftovers = readdirSync(temp).filter((name) => name.startsWith('rexport'));
  rmSync(temp, { recursive: true });
  return { exitCode: demo.exitCode, stdout, stderr, leftovers };
}

describe('the demo', () => {
  let whole: Run;
  let interrupted: Run;
  let withoutSort: Run;

  before('one run to the end, one that is broken off, one without a program', async function () {
    const programs = mkdtempSync(path.join(tmpdir(), 'rexport-programs-'));
    for (const name of ['sh', 'gzip', 'head']) symlinkSync(`/bin/${name}`, path.join(programs, name));
    [whole, interrupted, withoutSort] = await Promise.all([
      runDemo(2),
      runDemo(stressed(30, 15), 'gzip -1'),
      runDemo(2, undefined, { PATH: programs }),
    ]);
    rmSync(programs, { recursive: true });
  });

  it('shows a filter, the way back, a chain, a failure, and requests that outlive their program', () => {
    const { exitCode, stdout, stderr } = whole;
    expect(stderr).to.equal('');
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/^Needs gzip, sort and head, and 6\.0 MB in .*; takes about \d+ seconds\.$/m);
    expect(stdout).to.match(/^ {2}2\.\d MB went in, 0\.\d MB came out$/m);
    expect(stdout).to.match(/^ {2}the same bytes: sha256 \w{16}\.\.\. before and after$/m);
    expect(stdout.match(/^ {2}\S+ GET \/users\/\d+ 200 in 100\d ms$/gm)).to.have.length(3);
    expect(stdout).to.match(/^ {2}Duplex\.from: +success, and 1\.\d MB of 2\.\d MB are there$/m);
    expect(stdout).to.match(/^ {2}PortDuplex: +ERR_REXPORT_EXIT, exit code 1$/m);
    expect(stdout).to.match(/^ {2}\d children, .* [1-9] restarts$/m);
    expect(stdout).to.match(/^ {2}4000 of 4000 replies are the right ones: 0 lost, 0 crossed$/m);
    expect(stdout).to.match(/^ {2}ExitError: gzip exited with code 1 after \d+ ms; its stderr:$/m);
  });

  it('leaves no file behind', () => expect(whole.leftovers).to.deep.equal([]));

  it('leaves no file behind when Ctrl-C ends it in the middle', () => {
    expect(interrupted.exitCode).to.equal(130);
    expect(interrupted.stdout).not.to.include('came out');
    expect(interrupted.leftovers).to.deep.equal([]);
  });

  it('names the program that is missing, before it does anything', () => {
    const { exitCode, stdout, stderr, leftovers } = withoutSort;
    expect(stderr).to.equal('Error: expected the program sort in the PATH, found none: install it first\n');
    expect(exitCode).to.equal(1);
    expect(stdout.split('\n')).to.have.length(2);
    expect(leftovers).to.deep.equal([]);
  });
});
