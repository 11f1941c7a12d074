import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { FrameDecoder, FrameEncoder, PortDuplex } from '../../lib/index';
import { catFile } from '../support/cat-file';
import { cutEvery } from '../support/frames';
import { requirePrograms, stressed } from '../support/stress';

const repository = path.join(__dirname, '..', '..');

function git(...args: string[]): Buffer {
  return spawnSync('git', ['-C', repository, ...args], { maxBuffer: 1 << 28 }).stdout;
}

describe('a framing of one’s own, in at most 40 lines', () => {
  before(function () {
    requirePrograms(this, 'git');
  });

  it('drives `git cat-file --batch`: every object of this repository comes byte by byte as it is', async function () {
    this.timeout(60_000);
    const listing = git('cat-file', '--batch-all-objects', '--batch-check=%(objectname)').toString();
    const names = listing.split('\n').filter(Boolean).slice(0, stressed(Infinity, 500));
    if (names.length === 0) this.skip(); // the package without its history
    const plain = spawnSync('git', ['-C', repository, 'cat-file', '--batch'], {
      input: names.map((name) => `${name}\n`).join(''),
      maxBuffer: 1 << 29,
    }).stdout;

    const objects: Buffer[] = [];
    await pipeline(
      names,
      new FrameEncoder(catFile),
      new PortDuplex('git', ['-C', repository, 'cat-file', '--batch']),
      new FrameDecoder(catFile),
      async (messages: AsyncIterable<Buffer>) => {
        for await (const message of messages) objects.push(message);
      },
    );

    expect(objects.length).to.equal(names.length);
    expect(Buffer.concat(objects.flatMap((object) => [object, Buffer.from('\n')])).equals(plain)).to.equal(true);
    objects.forEach((object, i) => expect(object.toString('latin1', 0, 40)).to.equal(names[i]));
  });

  it('gives the same for any cut, and says when the input ended inside an object', async () => {
    const bytes = Buffer.from('aa blob 3\n\n\n\n\nbb missing\ncc tree 0\n\n');
    const whole = ['aa blob 3\n\n\n\n', 'bb missing', 'cc tree 0\n'];
    for (let size = 1; size <= bytes.length; size++) {
      const decoder = new FrameDecoder(catFile);
      for (const chunk of cutEvery(bytes, size)) decoder.write(chunk);
      decoder.end();
      expect((await decoder.toArray()).map(String), `chunks of ${size}`).to.deep.equal(whole);
    }
    const decoder = new FrameDecoder(catFile);
    decoder.end(bytes.subarray(0, 12));
    const told = await decoder.toArray().catch((error: unknown) => error);
    expect(told).to.have.property('message', 'git ended inside an object');
  });
});
