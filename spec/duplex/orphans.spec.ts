import { expect } from 'chai';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../../lib';
import { closed, CountingSink, rejection, sh } from '../support/streams';

/** Starts `sleep` in the background, prints its number first. */
const HOLDER = 'sleep 30 & echo $!';

function dismiss(output: string): void {
  process.kill(Number(output.split('\n')[0]), 'SIGKILL');
}

describe('PortDuplex: descendants that hold the pipes', () => {
  it('ends within a second of the exit though a daemon holds stdout', async () => {
    const port = new PortDuplex(...sh(HOLDER), { stdin: 'ignore' });
    const startedAt = performance.now();
    const output = await text(port);
    expect(performance.now() - startedAt).to.be.below(1000);
    dismiss(output);
    await closed(port);
  });

  it('says a failure within a second of the exit though a daemon holds stdout and stderr', async () => {
    const port = new PortDuplex(...sh(`${HOLDER}; echo bad news >&2; exit 3`));
    const output: string[] = [];
    port.on('data', (chunk: Buffer) => output.push(String(chunk)));
    const startedAt = performance.now();
    const [error] = (await once(port, 'error')) as [Error];
    expect(performance.now() - startedAt).to.be.below(1000);
    expect(error).to.include({ exitCode: 3, stderrTail: 'bad news\n' });
    dismiss(output.join(''));
    await closed(port);
  });

  it('reads a descendant to the end that goes on printing after the exit', async () => {
    const script = '(for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.05; done) & exit 0';
    const port = new PortDuplex(...sh(script), { stdin: 'ignore', orphanGraceMs: 250 });
    expect(await text(port)).to.equal('1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n');
    await closed(port);
  });

  it('reads a descendant to the end that prints on stderr too, whether or not its leader failed', async () => {
    const script = '(for i in 1 2 3 4 5 6; do echo $i; echo e$i >&2; sleep 0.1; done)';
    for (const code of [0, 3]) {
      const port = new PortDuplex(...sh(`${script} & exit ${code}`), { stdin: 'ignore', orphanGraceMs: 250 });
      let output = '';
      port.on('data', (chunk: Buffer) => (output += String(chunk))).on('error', () => {});
      await closed(port);
      expect([output, port.exitCode]).to.deep.equal(['1\n2\n3\n4\n5\n6\n', code]);
    }
  });

  it('never loses data to the clock when the consumer is slow', async () => {
    const port = new PortDuplex(...sh('(head -c 400000 /dev/zero; echo end) & exit 0'), {
      stdin: 'ignore',
      orphanGraceMs: 20,
      highWaterMark: 4096,
    });
    let bytes = 0;
    for await (const chunk of port) {
      bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(bytes).to.equal(400_004);
  });

  it('does not take a blocked event loop for silence', async () => {
    const port = new PortDuplex(...sh('(sleep 0.2; echo late) & exit 0'), { stdin: 'ignore', orphanGraceMs: 300 });
    const output = text(port);
    await once(port, 'exit');
    const until = performance.now() + 600;
    while (performance.now() < until);
    expect(await output).to.equal('late\n');
  });

  it('ends a pipeline though the daemon inherited everything', async () => {
    const port = new PortDuplex(...sh('cat >/dev/null; sleep 30 & echo $!'));
    const output: string[] = [];
    await pipeline('input', port, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) output.push(String(chunk));
    });
    dismiss(output.join(''));
  });

  it('delivers what came on stderr before the exit to its reader, and then ends it', async () => {
    const port = new PortDuplex(...sh(`${HOLDER}; echo note >&2`), { stdin: 'ignore' });
    const [output, notes] = await Promise.all([text(port), text(port.stderr as NonNullable<typeof port.stderr>)]);
    expect(notes).to.equal('note\n');
    dismiss(output);
    await closed(port);
  });

  it('waits for the failure of a stage whose stdout a daemon holds, and names it', async () => {
    const port = new PortDuplex(...sh(`${HOLDER} >&2; exec 1>&-; sleep 0.1; exit 4`));
    const notes = text(port.stderr as NonNullable<typeof port.stderr>);
    expect(await rejection(pipeline(port, new CountingSink()))).to.include({ exitCode: 4 });
    dismiss(await notes);
  });
});
