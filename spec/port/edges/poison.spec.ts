/** Who is guilty of a death, and when a program and not its requests is at fault. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { ExitError, Port, PortPool, type PortOptions } from '../../../lib';
import { Children, endOf, tallyOf, type AnyPort } from '../../support/port-edges';
import { ask, obeyAll, obeys } from '../../support/ports';
import { until } from '../../support/processes';
import { rejection, sh } from '../../support/streams';
import { stressed } from '../../support/stress';

const again = { idempotent: true };
const QUICK = { backoff: { minMs: 1, maxMs: 2 } };

describe('idempotent requests to a program that cannot run', () => {
  type Program = readonly [what: string, run: readonly [command: string, args: readonly string[]]];
  const dying: Program = ['a program that reads a request and dies of it', sh('head -c 5 >/dev/null; exit 1')];
  const leaving: Program = ['a program that always exits with 0 at once', ['true', []]];
  const cases: Program[] = [
    ['a missing script of perl', ['perl', ['nosuch.pl']]],
    ['a script with a syntax error', ['sh', ['-c', 'if']]],
    leaving,
    dying,
  ];
  type Make = (command: string, args: readonly string[], options: PortOptions) => AnyPort;
  // the first two die before they have read anything, as the third one does, and are seen below
  const ways: [string, Make, number, Program[]][] = [
    ['Port', (command, args, options) => new Port(command, args, options), 1, stressed(cases, [leaving, dying])],
    [
      'PortPool',
      (command, args, options) => new PortPool(command, args, { size: 2, ...options }),
      2,
      stressed(cases, [dying]),
    ],
  ];
  for (const [name, make, lanes, programs] of ways) {
    for (const [what, [command, args]] of programs) {
      it(`break the ${name} after maxRestarts: ${what}`, async () => {
        const maxRestarts = 3;
        await using port = make(command, args, { ...QUICK, maxRestarts });
        const children = new Children(port);
        const tally = await tallyOf(Array.from({ length: 40 }, () => port.request('x', again)));
        expect(Object.keys(tally).filter((end) => !['BROKEN', 'POISON'].includes(end))).to.deep.equal([]);
        expect(tally['BROKEN']).to.be.above(0);
        expect(port.state).to.equal('broken');
        // two deaths a verdict, and not more verdicts than restarts; of a pool a verdict may have deaths in two lanes
        expect(children.started).to.be.at.most(2 * (maxRestarts + 1) * lanes * (lanes > 1 ? 1.5 : 1));
      });
    }
  }

  it('one at a time, or after the first were rejected, break it as well', async () => {
    await using port = new Port('perl', ['nosuch.pl'], { ...QUICK, maxRestarts: 2 });
    const codes: unknown[] = [];
    for (let n = 0; n < 12; n += 1) codes.push((await rejection(port.request('x', again))).code);
    expect(codes.at(-1)).to.equal('ERR_REXPORT_BROKEN');
    expect(port.state).to.equal('broken');
  });

  it('fail the pipeline of transform(), though onError takes what one row is to blame for', async () => {
    await using port = new Port('perl', ['nosuch.pl'], QUICK);
    const deadLetters: unknown[] = [];
    const stage = port.transform({ idempotent: true, onError: (error) => void deadLetters.push(error) });
    const rows = Readable.from(Array.from({ length: 1000 }, () => 'x'));
    const sink = new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() });
    expect((await rejection(pipeline(rows, stage, sink))).code).to.equal('ERR_REXPORT_BROKEN');
    expect(deadLetters).to.have.length.below(10);
  });

  // two hundred children, one after another, and a helper for the pipes of each: the policy's own spec knows the number too
  for (const most of stressed([100], [])) {
    it(`break the port when the program vanishes after it has worked, at the verdict after ${most}`, async function () {
      this.timeout(240_000);
      const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
      await using port = new Port(...sh(`[ -d ${directory} ] || exit 1; exec cat`), { ...QUICK, maxRestarts: 2 });
      const children = new Children(port);
      await port.request('x', again);
      rmSync(directory, { recursive: true });
      process.kill(children.pids[0]!, 'SIGKILL');
      const tally = await tallyOf(Array.from({ length: 3 * most }, () => port.request('x', again)));
      expect(tally['BROKEN'] ?? 0).to.be.above(0);
      expect(port.state).to.equal('broken');
    });
  }
});

/** More than `maxRestarts` below: with no reply between them, they would break a port whose program never worked. */
const POISONOUS = stressed(20, 6);

describe(`${POISONOUS} poisonous rows side by side among good ones`, () => {
  const rows = Array.from({ length: 40 + POISONOUS }, (_, n) =>
    n >= 20 && n < 20 + POISONOUS ? 'exit 1' : `echo ${n}`,
  );
  const good = rows.filter((row) => row.startsWith('echo')).map((row) => row.slice(5));
  const makers: [string, () => AnyPort][] = [
    ['a Port', () => obeys({ ...QUICK, maxRestarts: 3 })],
    ['a Port with four in flight', () => obeys({ ...QUICK, maxRestarts: 3, maxInFlight: 4 })],
    ['a PortPool', () => obeyAll({ ...QUICK, maxRestarts: 3, size: 2 })],
  ];
  for (const [name, make] of makers) {
    it(`are dead letters, and break nothing: ${name}`, async function () {
      this.timeout(60_000);
      await using port = make();
      const deadLetters: string[] = [];
      const replies: string[] = [];
      const onError = (error: Error, message: unknown): undefined =>
        void deadLetters.push(`${(error as ExitError).code} ${String(message)}`);
      for await (const reply of Readable.from(rows).pipe(port.transform({ idempotent: true, onError }))) {
        replies.push(String(reply));
      }
      expect(deadLetters).to.deep.equal(Array.from({ length: POISONOUS }, () => 'ERR_REXPORT_POISON exit 1'));
      expect(replies).to.deep.equal(good);
      expect(await ask(port, 'echo on')).to.equal('on');
    });
  }
});

describe('the error of a request whose child died: `behind`', () => {
  const IN_FLIGHT = 32;
  const GUILTY = stressed(4, 2);

  for (const place of stressed([0, 10, 31], [10])) {
    it(`is 0 for the guilty, and counts up for those behind it that may be innocent: row ${place} of 32`, async () => {
      await using port = obeys({ maxInFlight: IN_FLIGHT });
      await ask(port, 'echo warm');
      const rows = Array.from({ length: IN_FLIGHT }, (_, n) => (n === place ? 'exit 3' : `echo ${n}`));
      const outcomes = await Promise.allSettled(rows.map((row) => port.request(row)));
      for (const [n, outcome] of outcomes.entries()) {
        if (n < place) {
          expect(endOf(outcome)).to.equal('reply');
          continue;
        }
        const reason = (outcome as PromiseRejectedResult).reason as ExitError;
        expect(reason).to.be.instanceOf(ExitError);
        expect(reason).to.include({ behind: n - place, exitCode: 3 });
        if (n === place) expect(reason.message).to.not.match(/innocent/);
        else expect(reason.message).to.match(new RegExp(`\\b${n - place}\\b.*innocent|innocent.*\\b${n - place}\\b`));
      }
    });
  }

  it('counts a request that was aborted: the child still had to answer it', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const control = new AbortController();
    const aborted = rejection(port.request('slowly 100 a', { signal: control.signal }));
    const guilty = rejection(port.request('kill KILL'));
    const behind = rejection(port.request('echo b'));
    // all three are with the child
    await turn();
    control.abort();
    await aborted;
    expect(await guilty).to.include({ signal: 'SIGKILL', behind: 0 });
    expect(await behind).to.include({ signal: 'SIGKILL', behind: 1 });
  });

  it('is in what onError gets: only rows with 0 are dead letters, the others may be sent again', async () => {
    await using port = obeys({ maxInFlight: 8, ...QUICK, maxRestarts: 100 });
    await ask(port, 'echo warm');
    const rows = Array.from({ length: 20 * GUILTY }, (_, n) => (n % 20 === 7 ? 'exit 1' : `echo ${n}`));
    const guilty: unknown[] = [];
    const onError = async (error: Error, message: unknown): Promise<Buffer | undefined> => {
      let [current, behind] = [error, (error as ExitError).behind];
      while (behind > 0) {
        try {
          return await port.request(message as string);
        } catch (next) {
          [current, behind] = [next as Error, (next as ExitError).behind];
        }
      }
      guilty.push(`${(current as ExitError).code} ${String(message)}`);
      return undefined;
    };
    const replies: string[] = [];
    for await (const reply of Readable.from(rows).pipe(port.transform({ onError }))) replies.push(String(reply));
    expect(guilty).to.deep.equal(Array.from({ length: GUILTY }, () => 'ERR_REXPORT_EXIT exit 1'));
    expect(replies).to.deep.equal(rows.filter((row) => row.startsWith('echo')).map((row) => row.slice(5)));
  });

  it('needs not be looked at with `idempotent`: exactly the guilty are rejected', async function () {
    this.timeout(60_000);
    await using port = obeys({ maxInFlight: IN_FLIGHT, ...QUICK });
    await ask(port, 'echo warm');
    const rows = Array.from({ length: stressed(4, 2) * IN_FLIGHT }, (_, n) =>
      n % 25 === 3 ? 'kill KILL' : `echo ${n}`,
    );
    const outcomes = await Promise.allSettled(rows.map((row) => port.request(row, again)));
    for (const [n, outcome] of outcomes.entries()) {
      expect(endOf(outcome), rows[n]).to.equal(rows[n] === 'kill KILL' ? 'POISON' : 'reply');
    }
  });
});

describe('a descendant that writes on after the exit of a child', () => {
  /** The child exits with 3 and leaves a descendant that repeats these bytes; it is gone when the file is. */
  async function withDescendant(first: string, drip: string, check: (port: Port) => Promise<void>): Promise<void> {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const loop = `while [ -e ${directory}/on ]; do printf '${drip}'; sleep 0.03; done; rm ${directory}/alive`;
    const script = `head -c 5 >/dev/null; touch ${directory}/on ${directory}/alive; printf '${first}'; (${loop}) & exit 3`;
    const port = new Port(...sh(script), { orphanGraceMs: 100, maxRestarts: 0, closeTimeoutMs: 500 });
    try {
      await check(port);
    } finally {
      rmSync(path.join(directory, 'on'), { force: true });
      await port.destroy();
      await until(() => !existsSync(path.join(directory, 'alive')), 5000);
      rmSync(directory, { recursive: true });
    }
  }

  it('does not keep a request waiting whose reply it never finishes: the exit is told within a bound', async () => {
    await withDescendant('\\000\\020\\000\\000', 'x', async (port) => {
      const startedAt = performance.now();
      const error = await rejection(port.request('a'));
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3 });
      expect(performance.now() - startedAt).to.be.below(8000);
    });
  });

  it('does not keep close() or destroy() waiting', async () => {
    for (const end of ['close', 'destroy'] as const) {
      await withDescendant('\\000\\020\\000\\000', 'x', async (port) => {
        const request = rejection(port.request('a'));
        await port.start();
        const startedAt = performance.now();
        await port[end]();
        await request;
        expect(performance.now() - startedAt).to.be.below(8000);
      });
    }
  });

  it('may have finished a reply by then: the request has it, and what comes after it is nobody’s', async () => {
    await withDescendant('\\000\\000\\000\\003', 'x', async (port) => {
      const [outcome] = await Promise.allSettled([port.request('a')]);
      if (outcome.status === 'fulfilled') expect(String(outcome.value)).to.equal('xxx');
      else expect(outcome.reason).to.include({ exitCode: 3 });
    });
  });
});
