import { expect } from 'chai';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ExitError, PortDuplex } from '../../lib';
import { closed, CountingSink, rejection, sh, zeros } from '../support/streams';
import { onceMore } from '../support/other-options';
import { stressed } from '../support/stress';

describe('PortDuplex: ports in a row', () => {
  const times = onceMore(stressed(50, 3), 1);
  for (const names of [['yes'], ['yes', 'cat']]) {
    it(`resolves ${names.join(' | ')} | head -n 1 within a second, with no child left, ${times} times`, async () => {
      for (let round = 0; round < times; round += 1) {
        const ports = [...names.map((name) => new PortDuplex(name)), new PortDuplex('head', ['-n', '1'])];
        const output: string[] = [];
        const startedAt = performance.now();
        await pipeline([...ports, collectInto(output)] as unknown as Parameters<typeof pipeline>[0][]);
        expect(performance.now() - startedAt).to.be.below(1000);
        expect(output.join('')).to.equal('y\n');
        for (const port of ports) expect(port.exitCode !== null || port.signalCode !== null).to.equal(true);
        ports[0]?.destroy();
      }
    });
  }

  it('records the status of a source that was left, without raising it', async () => {
    const source = new PortDuplex('yes', { stdin: 'ignore' });
    await pipeline(source, new PortDuplex('head', ['-n', '1']), new CountingSink());
    // A broken pipe is SIGPIPE, or, where unread bytes were thrown away, ECONNRESET and a complaint of the program.
    expect([source.signalCode, source.exitCode]).to.be.deep.oneOf([
      ['SIGPIPE', null],
      [null, 1],
    ]);
    expect(source.errored).to.equal(null);
  });

  it('names the program that failed, not the endless source before it', async () => {
    const bad = sh('head -c 100000 >/dev/null; echo why >&2; exit 3');
    const error = await rejection(pipeline(new PortDuplex('yes'), new PortDuplex(...bad), new CountingSink()));
    expect(error).to.be.instanceOf(ExitError).and.include({ command: 'sh', exitCode: 3, stderrTail: 'why\n' });
  });

  it('names the program that failed in the middle, and ends all others', async () => {
    const first = new PortDuplex('cat');
    const last = new PortDuplex('cat');
    const error = await rejection(
      pipeline(
        zeros(50_000_000),
        first,
        new PortDuplex(...sh('head -c 10 >/dev/null; exit 9')),
        last,
        new CountingSink(),
      ),
    );
    expect(error).to.include({ command: 'sh', exitCode: 9 });
    await Promise.all([closed(first), closed(last)]);
  });

  it('raises the failure of a source that failed before its reader left', async () => {
    const source = new PortDuplex(...sh('echo one; exit 6'));
    const error = await rejection(pipeline(source, new PortDuplex(...sh('cat; sleep 0.2')), new CountingSink()));
    expect(error).to.include({ exitCode: 6 });
  });

  it('goes on for a source that feeds somebody else too', async () => {
    const source = new PortDuplex('seq', ['1', '200000'], { stdin: 'ignore' });
    const head = new PortDuplex('head', ['-n', '1']);
    const all = new CountingSink();
    source.pipe(all);
    source.pipe(head);
    head.resume();
    await once(all, 'finish');
    expect(all.bytes).to.equal(1_288_895);
    expect(source.exitCode).to.equal(0);
    await closed(head);
  });

  it('carries a failing filter through gzip and back', async () => {
    const output = text(
      zeros(1_000_000)
        .pipe(new PortDuplex('gzip', ['-1']))
        .pipe(new PortDuplex('gunzip')),
    );
    expect(await output).to.have.lengthOf(1_000_000);
  });

  it('forgets a source that was unpiped', async () => {
    const source = new PortDuplex('yes', { stdin: 'ignore' });
    const head = new PortDuplex('head', ['-n', '1']);
    source.pipe(head);
    head.resume();
    source.unpipe(head);
    head.end();
    await closed(head);
    expect(source.exitCode ?? source.signalCode).to.equal(null);
    source.destroy();
    await closed(source);
  });
});

function collectInto(output: string[]) {
  return async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) output.push(String(chunk));
  };
}
