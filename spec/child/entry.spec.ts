import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { frames, parse, texts } from '../support/frames';
import { programPath } from '../support/programs';
import { stressed } from '../support/stress';

const repository = path.join(__dirname, '..', '..');

/** The compiled entry. */
function entryPath(): string {
  return path.resolve(programPath('served'), '../../../lib/child/serve-port.js');
}

async function echoed(args: readonly string[]): Promise<string[]> {
  const child = spawn(process.execPath, args, { cwd: repository });
  const stderr = text(child.stderr);
  child.stdin.on('error', () => undefined).end(frames(['one', 'two']));
  const [chunks, closed] = await Promise.all([child.stdout.toArray() as Promise<Buffer[]>, once(child, 'close')]);
  expect(closed, await stderr).to.deep.equal([0, null]);
  return texts(parse(chunks));
}

describe('the entry rexport/child', () => {
  it('loads neither the host side nor readable-stream', () => {
    const list = `require(${JSON.stringify(entryPath())}); console.log(JSON.stringify(Object.keys(require.cache)))`;
    const { stdout } = spawnSync(process.execPath, ['-e', list], { encoding: 'utf8' });
    const loaded = (JSON.parse(stdout) as string[]).map((file) => file.split(`${path.sep}lib${path.sep}`)[1]);
    expect(loaded.sort()).to.deep.equal([
      'abort.js',
      'batch-sender.js',
      'broken-pipe.js',
      'child/incoming.js',
      'child/outgoing.js',
      'child/own-stdio.js',
      'child/port-server.js',
      'child/serve-port.js',
      'errors.js',
      'fifo.js',
      'framing/batch.js',
      'framing/format.js',
      'framing/frame-parser.js',
      'framing/frame-writer.js',
      'framing/framing-errors.js',
      'framing/framing.js',
      'framing/length-prefix.js',
      'framing/length-reader.js',
      'in-order.js',
      'options.js',
    ]);
  });

  it('works from CommonJS', async () => {
    const source = `const { servePort } = require(${JSON.stringify(entryPath())}); servePort((message) => message);`;
    expect(await echoed(['-e', source])).to.deep.equal(['one', 'two']);
  });

  it('works from an ES module, awaited', async () => {
    const source = `import { servePort } from ${JSON.stringify(pathToFileURL(entryPath()).href)};
      await servePort(async (message) => message);
      console.log('cleared away');`;
    expect(await echoed(['--input-type=module', '-e', source])).to.deep.equal(['one', 'two']);
  });

  const source = path.join(repository, 'spec', 'programs', 'served.ts');
  // its modules are CommonJS, compiled when they are loaded
  for (const child of stressed([source], [])) {
    it('works under ts-node', async () => {
      expect(await echoed(['-r', 'ts-node/register', child])).to.deep.equal(['', '']);
    });
  }

  it('refuses to serve stdin and stdout twice', () => {
    const source = `const { servePort } = require(${JSON.stringify(entryPath())}); servePort(String); servePort(String);`;
    const { status, stderr } = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', input: '' });
    expect(stderr).to.include('expected one servePort on the stdin and stdout of this process, got a second');
    expect(status).to.equal(1);
  });
});
