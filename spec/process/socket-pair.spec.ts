import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { PortDuplex } from '../../lib';
import { openSocketPair, type SocketPair } from '../../lib/process/socket-pair';
import { closed, rejection, sh } from '../support/streams';

const open = (): Promise<SocketPair | Error> => new Promise(openSocketPair);

describe('a pair of sockets', () => {
  before(function () {
    if (process.platform === 'win32') this.skip(); // refused there
  });

  let folder: string;
  let TMPDIR: string | undefined;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'rexport-pair-'));
    TMPDIR = process.env['TMPDIR'];
    process.env['TMPDIR'] = folder;
  });
  afterEach(() => {
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
    rmSync(folder, { recursive: true, force: true });
  });

  it('is connected, and leaves no name behind', async () => {
    const { ours, theirs } = (await open()) as SocketPair;
    expect(readdirSync(folder)).to.deep.equal([]);
    ours.end('from here');
    theirs.end('from there');
    expect(await Promise.all([text(ours), text(theirs)])).to.deep.equal(['from there', 'from here']);
  });

  it('many at once are each a pair of their own', async () => {
    const pairs = (await Promise.all(Array.from({ length: 20 }, open))) as SocketPair[];
    for (const [index, { ours, theirs }] of pairs.entries()) {
      theirs.end(String(index));
      ours.end();
      theirs.resume();
    }
    const texts = await Promise.all(pairs.map(({ ours }) => text(ours)));
    expect(texts).to.deep.equal(pairs.map((_, index) => String(index)));
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('is an error where there is no place for its name, and a program that needs it is not started', async () => {
    rmSync(folder, { recursive: true });
    expect(await open()).to.include({ code: 'ENOENT' });
    const port = new PortDuplex(...sh('echo started'), { stderr: 'stdout' });
    const error = await rejection(text(port));
    expect(error).to.include({ code: 'ERR_REXPORT_SPAWN' });
    expect(error.message).to.include('there is no pipe, and no pair of sockets');
    await closed(port);
  });

  it('that comes for a port that was destroyed meanwhile is closed', async () => {
    const port = new PortDuplex(...sh('echo started'), { stderr: 'stdout' });
    port.destroy();
    await once(port, 'close');
    const late = new PortDuplex(...sh('echo started'), { stderr: 'stdout' });
    await new Promise((resolve) => process.nextTick(resolve));
    late.destroy();
    await closed(late);
    expect(late.pid).to.equal(undefined);
  });
});
