/** Options that a prototype holds, errors that teach, and figures that are whole. */
import { expect } from 'chai';
import { Port, PortPool, type Message, type PortOptions, type TimeoutError, type TransformOptions } from '../../../lib';
import { ask, obeyAll, obeys, program } from '../../support/ports';
import { sideBySide } from '../../support/side-by-side';
import { rejection, sh } from '../../support/streams';

const it = sideBySide();

/** Options of a class: all of them are getters of its prototype. */
class Settings {
  get cwd(): string {
    return '/tmp';
  }
  get env(): NodeJS.ProcessEnv {
    return { WORD: 'inherited' };
  }
  get packet(): 2 {
    return 2;
  }
  get maxInFlight(): number {
    return 7;
  }
  get decode(): (message: Buffer) => string {
    return (message) => `decoded ${String(message)}`;
  }
}

describe('options that an object has from its prototype', () => {
  // two bytes of length, then the directory and the word
  const script = 'head -c 3 >/dev/null; printf "\\0\\016"; printf "%s" "$(pwd) $WORD"';

  it('mean the same to a Port as its own: of the spawn, of the framing, of the port, of the codec', async () => {
    for (const options of [new Settings(), Object.create(new Settings()) as PortOptions]) {
      await using port = new Port<Message, string>(...sh(script), options as Settings);
      expect(await port.request('x')).to.equal('decoded /tmp inherited');
    }
  });

  it('mean the same to a PortPool, and a wrong one is refused', async () => {
    const size = Object.create({ size: 3, minSize: 2, maxQueue: 0, maxInFlight: 2 }) as PortOptions;
    await using pool = obeyAll(size);
    expect(pool.statistics().lanes).to.have.length(3);
    await pool.start();
    expect(pool.statistics().lanes.filter(({ state }) => state === 'ready')).to.have.length(2);
    for (const wrong of [{ maxInFlight: 0 }, { packet: 3 }, { cwd: 5 }, { restart: 'always' }]) {
      expect(() => new Port('cat', Object.create(wrong) as PortOptions), Object.keys(wrong)[0]).to.throw(/^expected /);
    }
    expect(() => new PortPool('cat', Object.create({ size: 0 }) as PortOptions)).to.throw(RangeError, /size/);
  });

  it('mean the same to a request and to transform()', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const inherited = Object.create({ timeoutMs: 60 }) as { timeoutMs: number };
    expect(await rejection(port.request('never', inherited))).to.include({
      code: 'ERR_REXPORT_TIMEOUT',
      timeoutMs: 60,
    });
    const aborted = Object.create({ signal: AbortSignal.abort() }) as { signal: AbortSignal };
    expect((await rejection(port.request('echo a', aborted))).name).to.equal('AbortError');
    expect(await rejection(port.request('echo a', Object.create({ timeoutMs: 0 }) as object))).to.be.instanceOf(
      RangeError,
    );
    const onError = (): Buffer => Buffer.from('instead');
    const stage = port.transform(Object.create({ onError, concurrency: 2 }) as TransformOptions<Message, Buffer>);
    stage.end('exit 1');
    for await (const reply of stage) expect(String(reply)).to.equal('instead');
  });
});

describe('the deadline in the middle of a reply tells what is known of it', () => {
  it('how many bytes have come of how many, how they begin, and what may be the cause', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const printed = Buffer.from('\0\0\x05\nhello wor', 'latin1').toString('hex');
    const error = (await rejection(port.request(`raw ${printed}`, { timeoutMs: 1000 }))) as TimeoutError;
    expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'body', timeoutMs: 1000, limit: 'timeoutMs' });
    expect(error.message).to.match(/9 of 1290 bytes have come, beginning ./);
  });

  it('stays short, and in one line, whatever has come', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const printed = Buffer.from(`\0\x0f\0\0${'\n\x1b[31m'.repeat(2000)}`, 'latin1').toString('hex');
    const error = await rejection(port.request(`raw ${printed}`, { timeoutMs: 1000 }));
    expect(error).to.include({ phase: 'body' });
    expect(error.message).to.have.length.below(1000);
    for (const control of ['\n', '\x1b']) expect(error.message).to.not.include(control);
  });

  it('with runTimeoutMs too, which it names', async () => {
    await using port = obeys({ runTimeoutMs: 1000 });
    await ask(port, 'echo warm');
    const error = await rejection(port.request('raw 0000000a4142'));
    expect(error).to.include({ phase: 'body', limit: 'runTimeoutMs', timeoutMs: 1000 });
    expect(error.message).to.match(/2 of 10 bytes have come, beginning ./);
  });
});

describe('figures in events', () => {
  it('are whole milliseconds: the delay of a restart', async () => {
    await using port = new Port(...sh('exit 9'), { backoff: { minMs: 3, maxMs: 7 }, maxRestarts: 20 });
    const delays: number[] = [];
    port.on('restart', ({ delayMs }) => delays.push(delayMs));
    const broken = new Promise((resolve) => port.once('broken', resolve));
    port.restart();
    await broken;
    expect(delays).to.have.length(20);
    expect(delays.filter((delayMs) => !Number.isInteger(delayMs))).to.deep.equal([]);
    expect(Math.max(...delays)).to.be.at.most(7);
    expect(new Set(delays).size).to.be.above(1);
  });
});

describe('options of a start and of a run', () => {
  for (const name of ['startTimeoutMs', 'runTimeoutMs'] as const) {
    it(`${name} is refused at once, with what was expected and what came`, async () => {
      for (const value of [0, -1, 1.5, NaN, Infinity, 2 ** 31, '5']) {
        for (const make of [() => new Port('cat', { [name]: value }), () => new PortPool('cat', { [name]: value })]) {
          expect(make, String(value)).to.throw(
            new RegExp(`^expected \`${name}\` to be an integer from 1 to \\d+, got `),
          );
        }
      }
      if (name === 'startTimeoutMs') return;
      await using port = new Port('perl', [program('obeys.pl')]);
      for (const value of [0, '5', null]) {
        const error = await rejection(port.request('echo a', { [name]: value } as object));
        expect(error.message).to.match(/^expected `runTimeoutMs` to be an integer/);
      }
      expect(() => port.transform({ runTimeoutMs: 0 })).to.throw(RangeError, /runTimeoutMs/);
    });
  }
});
