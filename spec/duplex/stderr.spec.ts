import { expect } from 'chai';
import { getMaxListeners, once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { PortDuplex, type ExitError } from '../../lib';
import { closed, rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

describe('PortDuplex: stderr', () => {
  it('gives its reader all that the child wrote before it exited, however slow the reader', async () => {
    const port = new PortDuplex(...sh('head -c 150000 /dev/zero >&2'), { stdin: 'ignore' });
    port.resume();
    let bytes = 0;
    for await (const chunk of port.stderr as Readable) {
      bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(bytes).to.equal(150_000);
    await closed(port);
  });

  it('gives its reader the last words of a child that was destroyed', async () => {
    const port = new PortDuplex(
      ...sh('trap "head -c 100000 /dev/zero >&2; exit" TERM; echo ready; while :; do sleep 0.01; done'),
    );
    const words = text(port.stderr as Readable);
    await once(port.resume(), 'data');
    port.destroy();
    await closed(port);
    expect(await words).to.have.lengthOf(100_000);
  });

  it('is waited for with a failure: the error has the last words, though the program that wrote them outlives the child', async () => {
    for (const isRead of [false, true]) {
      const port = new PortDuplex(...sh('(sleep 0.05; echo last words >&2) & exit 3'), { orphanGraceMs: 20_000 });
      if (isRead) port.resume();
      const [error] = (await once(port, 'error')) as [ExitError];
      expect(error).to.include({ exitCode: 3, stderrTail: 'last words\n' });
      await closed(port);
    }
  });

  it('holds the child back when it was asked for and is not read, and lets it go when it is destroyed', async () => {
    const port = new PortDuplex(...sh('head -c 3000000 /dev/zero >&2; echo done'), { stdin: 'ignore' });
    const stderr = port.stderr as Readable;
    const output = text(port);
    await once(stderr, 'readable');
    stderr.destroy();
    expect(await output).to.equal('done\n');
    await closed(port);
  });

  it('exists before the spawn, is the same stream each time, and ends also when nothing was spawned', async () => {
    const port = new PortDuplex('no-such-program');
    const stderr = port.stderr as Readable;
    expect(port.stderr).to.equal(stderr);
    const words = text(stderr);
    await rejection(text(port));
    expect(await words).to.equal('');
    await closed(port);
    expect(await text(new PortDuplex('no-such-program').on('error', () => undefined).stderr as Readable)).to.equal('');
  });

  it("is null when stderr is 'inherit' or 'ignore', and the error then has no tail", async () => {
    const port = new PortDuplex(...sh('echo unseen >&2; exit 2'), { stderr: 'ignore' });
    expect(port.stderr).to.equal(null);
    const error = (await rejection(text(port))) as ExitError;
    expect(error).to.include({ exitCode: 2, stderrTail: '' });
    await closed(port);
  });

  it('does not end stdout by its own end, and the other way round', async () => {
    const port = new PortDuplex(...sh('exec 2>&-; sleep 0.05; echo out'), { stdin: 'ignore' });
    const [output, words] = await Promise.all([text(port), text(port.stderr as Readable)]);
    expect([output, words]).to.deep.equal(['out\n', '']);
    const other = new PortDuplex(...sh('exec 1>&-; sleep 0.05; echo err >&2'), { stdin: 'ignore' });
    const both = await Promise.all([text(other), text(other.stderr as Readable)]);
    expect(both).to.deep.equal(['', 'err\n']);
    await Promise.all([closed(port), closed(other)]);
  });
});

describe('PortDuplex: a signal that many ports share', () => {
  it('is left as it was by ports that were read to their end, though nobody ended their input', async () => {
    const { signal } = new AbortController();
    const limit = getMaxListeners(signal);
    const count = stressed(30, 12);
    const ports = Array.from({ length: count }, () => new PortDuplex('true', { signal }));
    expect(getMaxListeners(signal)).to.equal(limit === 0 ? 0 : limit + count);
    await Promise.all(ports.map((port) => text(port)));
    expect(getMaxListeners(signal)).to.equal(limit);
  });
});
