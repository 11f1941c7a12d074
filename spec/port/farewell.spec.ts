import { expect } from 'chai';
import { ExitError, Port, type RexPortError } from '../../lib';
import { checkPortOptions } from '../../lib/port/port-options';
import { RequestIds } from '../../lib/port/protocol';
import { Session, type SessionOwner } from '../../lib/port/session';
import type { ExitStatus } from '../../lib/process/exit-status';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

/** Takes a request of five bytes, frame and all, and then does as the script says. */
function dying(script: string, orphanGraceMs = 150): Port {
  return new Port(...sh(`head -c 5 >/dev/null; ${script}`), { restart: 'temporary', orphanGraceMs });
}

async function deathOf(port: Port): Promise<RexPortError> {
  const error = await rejection(port.request('x'));
  await port.destroy();
  return error as RexPortError;
}

describe('Port: the end of a child that closed its output', () => {
  it('is told by its code, though a grandchild holds its stderr for longer than is waited for', async () => {
    const ports = Array.from({ length: stressed(20, 4) }, () => dying('sleep 0.4 <&- >&- & exit 3'));
    for (const error of await Promise.all(ports.map(deathOf))) {
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3 });
    }
  });

  it('is told by its code, though the event loop was blocked from the one to the other', async () => {
    let isOver = false;
    const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));
    const block = (): void => {
      Atomics.wait(nobodyWakes, 0, 0, 100);
      if (!isOver) setImmediate(block);
    };
    setImmediate(block);
    // some of them close their output in one block and exit in the next
    const ports = Array.from({ length: 8 }, (_, n) => dying(`sleep 0.0${n}; exec >&-; sleep 0.07; exit 3`, 60));
    const errors = await Promise.all(ports.map(deathOf));
    isOver = true;
    for (const error of errors) expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3 });
  });

  it('is told by its code, though a grandchild holds its output for longer than is waited for', async () => {
    const ports = Array.from({ length: stressed(5, 2) }, () => dying('sleep 1 & exit 3'));
    for (const error of await Promise.all(ports.map(deathOf))) {
      expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3 });
    }
  });

  it('is that error also where it closed its input before, as the dying do', async () => {
    const script = 'read -r x; exec 0<&-; sleep 0.2; exec >&-; exec sleep 30';
    const port = new Port(...sh(script), { restart: 'temporary' });
    const error = await rejection(port.request(Buffer.alloc(2_000_000, '\n')));
    await port.destroy();
    expect(error.message).to.match(/^sh was ended \(it closed its output\) after \d+ ms/);
  });

  it('is an error that says so, where it lives on', async () => {
    const error = await deathOf(dying('exec >&-; exec sleep 30', 30));
    expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: null, signal: null });
    expect(error.message).to.match(/^sh was ended \(it closed its output\) after \d+ ms/);
  });

  it('has the whole time to leave, once it is asked to', async () => {
    const settings = checkPortOptions(...sh('exec >&-; cat >/dev/null; sleep 0.2; exit 4'), {});
    const nothing = (): void => undefined;
    const exited = new Promise<ExitStatus>((resolve) => {
      const owner: SessionOwner = {
        id: 0,
        ready: nothing,
        changed: (session) => {
          if (session.state === 'dying') session.leave();
        },
        tell: (name, ...args) => {
          if (name === 'exit') resolve(args[1] as ExitStatus);
        },
        ask: () => Promise.reject(new Error('nobody asks')),
        over: nothing,
        gone: nothing,
      };
      new Session(1, { ...settings, ids: new RequestIds(), farewellMs: 100 }, owner);
    });
    expect(await exited).to.include({ exitCode: 4, signal: null });
  });
});
