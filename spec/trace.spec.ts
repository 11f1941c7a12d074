import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { expect } from 'chai';
import { PortDuplex } from '../lib';
import type { EndTrace, ExitTrace, SpawnTrace } from '../lib/trace';
import { startProgram } from './support/programs';
import { sideBySide } from './support/side-by-side';
import { closed } from './support/streams';

describe('trace: NODE_DEBUG=rexport', () => {
  const it = sideBySide();

  it('prints a line for each spawn, exit and step of an ending, without arguments or environment', async () => {
    const { ended } = startProgram('traced', [], { env: { NODE_DEBUG: 'rexport' } });
    const { code, stdout, stderr } = await ended;
    const [polite, stubborn] = JSON.parse(stdout) as number[];
    const lines = stderr.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^REXPORT \d+: /, '').replace(/\d+ ms$/, 'N ms'))).to.deep.equal([
      `spawn sh pid ${polite}`,
      `exit sh pid ${polite} code 3 after N ms`,
      `spawn sh pid ${stubborn}`,
      `end sh pid ${stubborn}: SIGTERM`,
      `end sh pid ${stubborn}: SIGKILL`,
      `end sh pid ${stubborn}: release output`,
      `exit sh pid ${stubborn} SIGKILL after N ms`,
    ]);
    expect(code).to.equal(0);
  });

  it('prints nothing when it is not set', async () => {
    const { stderr } = await startProgram('traced', [], { env: { NODE_DEBUG: undefined } }).ended;
    expect(stderr).to.equal('');
  });
});

describe('trace: diagnostics channels', () => {
  it('carry the same facts as objects', async () => {
    const facts: [channel: string | symbol, fact: SpawnTrace | ExitTrace | EndTrace][] = [];
    const note = (fact: unknown, channel: string | symbol): void => void facts.push([channel, fact as SpawnTrace]);
    const channels = ['rexport:spawn', 'rexport:exit', 'rexport:end'];
    for (const channel of channels) subscribe(channel, note);
    const port = new PortDuplex('sleep', ['30']);
    await once(port, 'spawn');
    const { pid } = port;
    port.destroy();
    await closed(port);
    for (const channel of channels) unsubscribe(channel, note);

    const { durationMs } = await port.exited;
    expect(durationMs).to.be.greaterThan(0);
    expect(facts).to.deep.equal([
      ['rexport:spawn', { command: 'sleep', pid }],
      ['rexport:end', { command: 'sleep', pid, step: 'SIGTERM' }],
      ['rexport:exit', { command: 'sleep', pid, exitCode: null, signal: 'SIGTERM', durationMs }],
    ]);
  });
});
