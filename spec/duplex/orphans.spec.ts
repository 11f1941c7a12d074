import { expect } from 'chai';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { PortDuplex } from '../../lib';
import { isAlive } from '../support/processes';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, rejection, sh } from '../support/streams';

/** Starts `sleep` in the background, prints its number first. */
const HOLDER = 'sleep 30 & echo $!';

/** Holds up the event loop, and leaves the processor to others. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** It throws where that has ended by itself, half a minute later. */
function dismiss(output: string): void {
  process.kill(Number(output.split('\n')[0]), 'SIGKILL');
}

describe('PortDuplex: descendants that hold the pipes', () => {
  const itWaits = sideBySide();

  itWaits('ends after the exit, long before a daemon that holds stdout', async () => {
    const port = new PortDuplex(...sh(HOLDER), { stdin: 'ignore' });
    dismiss(await text(port));
    await closed(port);
  });

  itWaits('says a failure after the exit, long before a daemon ends that holds stdout and stderr', async () => {
    const port = new PortDuplex(...sh(`${HOLDER}; echo bad news >&2; exit 3`));
    const output: string[] = [];
    port.on('data', (chunk: Buffer) => output.push(String(chunk)));
    const [error] = (await once(port, 'error')) as [Error];
    expect(error).to.include({ exitCode: 3, stderrTail: 'bad news\n' });
    dismiss(output.join(''));
    await closed(port);
  });

  itWaits('reads a descendant to the end that goes on printing after the exit', async () => {
    const script = '(for i in 1 2 3 4 5; do echo $i; sleep 0.2; done) & exit 0';
    // longer than a busy machine takes between two lines, shorter than all of them take
    const port = new PortDuplex(...sh(script), { stdin: 'ignore', orphanGraceMs: 700 });
    expect(await text(port)).to.equal('1\n2\n3\n4\n5\n');
    await closed(port);
  });

  itWaits('reads a descendant to the end that prints on stderr too, whether or not its leader failed', async () => {
    const script = '(for i in 1 2 3 4 5; do echo $i; echo e$i >&2; sleep 0.2; done)';
    const run = async (code: number): Promise<void> => {
      const port = new PortDuplex(...sh(`${script} & exit ${code}`), { stdin: 'ignore', orphanGraceMs: 700 });
      let output = '';
      port.on('data', (chunk: Buffer) => (output += String(chunk))).on('error', () => {});
      await closed(port);
      expect([output, port.exitCode]).to.deep.equal(['1\n2\n3\n4\n5\n', code]);
    };
    await Promise.all([run(0), run(3)]);
  });

  itWaits('never loses data to the clock when the consumer is slow', async () => {
    // All is there when the clock begins to run, so that no busy machine can make a silence: only the consumer is slow.
    const port = new PortDuplex(...sh('sleep 30 & echo $! >&2; head -c 400000 /dev/zero; echo end'), {
      stdin: 'ignore',
      orphanGraceMs: 20,
      highWaterMark: 4096,
    });
    const holder = once(port.stderr as NonNullable<typeof port.stderr>, 'data').then(Number);
    let bytes = 0;
    for await (const chunk of port) {
      bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(bytes).to.equal(400_004);
    process.kill(await holder, 'SIGKILL');
    await closed(port);
  });

  it('does not take a blocked event loop for silence', async () => {
    const port = new PortDuplex(...sh('(sleep 0.1; echo late) & echo $! >&2'), { stdin: 'ignore', orphanGraceMs: 150 });
    const output = text(port);
    const descendant = once(port.stderr!, 'data').then(Number);
    await once(port, 'exit');
    const pid = await descendant;
    // it has printed when it is gone, and the grace is over as well
    block(160);
    while (isAlive(pid)) block(5);
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

  itWaits('delivers what came on stderr before the exit to its reader, and then ends it', async () => {
    const port = new PortDuplex(...sh(`${HOLDER}; echo note >&2`), { stdin: 'ignore' });
    const [output, notes] = await Promise.all([text(port), text(port.stderr as NonNullable<typeof port.stderr>)]);
    expect(notes).to.equal('note\n');
    dismiss(output);
    await closed(port);
  });

  itWaits('waits for the failure of a stage whose stdout a daemon holds, and names it', async () => {
    const port = new PortDuplex(...sh(`${HOLDER} >&2; exec 1>&-; sleep 0.1; exit 4`));
    const notes = text(port.stderr as NonNullable<typeof port.stderr>);
    expect(await rejection(pipeline(port, new CountingSink()))).to.include({ exitCode: 4 });
    dismiss(await notes);
  });
});
