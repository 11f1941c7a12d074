/** Faults that are found and not fixed yet; each spec moves to its subject when it holds. */
import { once, type EventEmitter } from 'node:events';
import { expect } from 'chai';
import { Port } from '../../../lib';
import { ask, obeys, program } from '../../support/ports';
import { sideBySide } from '../../support/side-by-side';
import { rejection } from '../../support/streams';

const it = sideBySide();

/** Takes its time to start, and then obeys. */
const lateStarter = ['sh', ['-c', 'sleep 0.4; exec perl "$0"', program('obeys.pl')]] as const;

describe('a request whose deadline was over before the first reply of the child', () => {
  it('and at which the child then hangs, costs the child as any other: those behind it are not kept waiting', async () => {
    await using port = new Port(...lateStarter, { maxInFlight: 4, closeTimeoutMs: 50 });
    const first = ask(port, 'echo a');
    const late = rejection(port.request('never', { timeoutMs: 100 }));
    const behind = port.request('echo b', { idempotent: true });
    expect(await late).to.include({ code: 'ERR_REXPORT_TIMEOUT' });
    expect(await first).to.equal('a');
    expect(String(await behind)).to.equal('b');
  });

  it('costs a child that is being replaced by then, too: `runTimeoutMs` counts from its first reply', async () => {
    await using port = new Port(...lateStarter, { maxInFlight: 4, closeTimeoutMs: 50, startTimeoutMs: 5000 });
    const first = ask(port, 'echo a');
    const hung = rejection(port.request('never', { runTimeoutMs: 200 }));
    const behind = port.request('echo b', { idempotent: true });
    await once(port as EventEmitter, 'spawn');
    port.restart();
    // the second child is up, and the first one, which has never answered, is to finish what it has
    await once(port as EventEmitter, 'spawn');
    expect(await first).to.equal('a');
    expect(await hung).to.include({ code: 'ERR_REXPORT_TIMEOUT', limit: 'runTimeoutMs' });
    expect(String(await behind)).to.equal('b');
  });
});

describe('half a signal', () => {
  it('is refused by name: with one that has no removeEventListener the request never settled', async () => {
    await using port = obeys({ closeTimeoutMs: 50 });
    const half = { aborted: false, addEventListener: (): void => undefined } as unknown as AbortSignal;
    const error = await rejection(port.request('echo a', { signal: half }));
    expect(error.message).to.match(/^expected `signal` to be/);
    expect(() => new Port('cat', { signal: half })).to.throw(TypeError, /`signal`/);
  });
});

describe('the deadline in the middle of a reply', () => {
  it('asks whether the program printed, also where the length is no text but what follows is', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const printed = Buffer.from('\0\0\x05\nhello wor', 'latin1').toString('hex');
    const error = await rejection(port.request(`raw ${printed}`, { timeoutMs: 300 }));
    expect(error.message).to.match(/9 of 1290 bytes have come, beginning .+; did the program print to stdout\?/);
  });
});
