import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { ExitError, FrameParser, Port, type PortOptions } from '../../lib';
import { frames, messagesOf, parse, texts } from '../support/frames';
import { linkedModule } from '../support/linked-module';
import { ask } from '../support/ports';
import { survivors } from '../support/processes';
import { programPath, startProgram } from '../support/programs';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

const MIB = 1024 * 1024;
/** Of a print or of a reply, more than is between the child and its host. */
const mebibytes = stressed(8, 2);

/** A Port whose child is spec/programs/served.ts. */
function served(options: PortOptions = {}, ...args: string[]): Port {
  return new Port(process.execPath, [programPath('served'), ...args], options);
}

/** The same program without a Port. */
function startServed(...args: string[]) {
  return spawn(process.execPath, [programPath('served'), ...args]);
}

describe('a servePort child', () => {
  it('under a Port, concurrency 8, random delays: requests are answered in order', async () => {
    await using port = served({ maxInFlight: 64 }, '8');
    const numbers = Array.from({ length: stressed(5000, 150) }, (_, n) => n);
    const replies = await Promise.all(
      numbers.map(async (n) => ask(port, `later ${Math.floor(Math.random() * 4)} ${n}`)),
    );
    expect(replies).to.deep.equal(numbers.map(String));
    expect(port.restarts).to.equal(0);
  });

  for (const packet of stressed([1, 2, 4] as const, [2] as const)) {
    it(`lets no print into the frames, {packet, ${packet}}: console, write, pipe and pipeline go to stderr`, async () => {
      const child = startServed('1', `${packet}`);
      const stderr = text(child.stderr);
      child.stdin.end(frames(['print one', 'print two'], { packet }));
      const chunks = (await child.stdout.toArray()) as Buffer[];
      expect(texts(parse(chunks, { packet }))).to.deep.equal(['one', 'two']);
      const printed = (await stderr).split('\n');
      for (const word of ['one', 'two']) {
        // each way once; console.table shows it in a frame
        expect(printed.filter((line) => line === word)).to.have.length(7);
        expect(printed.filter((line) => line.includes(`'${word}'`))).to.have.length(1);
      }
    });
  }

  it('finds modules behind links as it did before, also on descriptors 3 and 4', async () => {
    using module = linkedModule();
    const program = `
      require.resolve(${JSON.stringify(module.real)});
      require(${JSON.stringify(path.resolve(programPath('served'), '../../../lib/child/serve-port.js'))})
        .servePort(String, { channel: 'fd3' });
      console.log(require.resolve(${JSON.stringify(module.linked)}));`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
    child.stdio[3]!.destroy();
    child.stdio[4]!.destroy();
    expect(await text(child.stdout!)).to.equal(`${module.real}\n`);
  });

  it('does the same where stdout is a file', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-served-'));
    const [from, to] = [path.join(folder, 'in'), path.join(folder, 'out')];
    writeFileSync(from, frames(['print one', 'bytes 100000', 'echo two']));
    const stdio = [openSync(from, 'r'), openSync(to, 'w')];
    const child = spawn(process.execPath, [programPath('served')], { stdio: [...stdio, 'pipe'] });
    for (const fd of stdio) closeSync(fd);
    const [closed, stderr] = await Promise.all([once(child, 'close'), text(child.stderr!)]);
    expect(closed, stderr).to.deep.equal([0, null]);
    expect(parse([readFileSync(to)]).map(({ length }) => length)).to.deep.equal([3, 100_000, 3]);
    rmSync(folder, { recursive: true });
  });

  it('holds who prints back while nobody reads stderr, and lets him go on then', async () => {
    const child = startServed();
    child.stdin.write(frames([`flood ${mebibytes}`]));
    // it prints as much as the pipe takes
    await once(child.stderr, 'readable');
    const stderr = text(child.stderr);
    expect(String(await once(child.stdout, 'data'))).to.equal('\0\0\0\u0007flooded');
    child.stdin.end();
    expect((await stderr).length).to.equal(mebibytes * MIB);
  });

  it('answers all that came before the end of its input, though nothing else keeps it, then exits with code 0', async () => {
    const child = startServed('4');
    const [stderr, closed] = [text(child.stderr), once(child, 'close')];
    // an input that is open would keep it as well
    child.stdin.end(frames(['idly 50 a', 'later 10 b', 'echo c']));
    const chunks = (await child.stdout.toArray()) as Buffer[];
    expect(texts(parse(chunks))).to.deep.equal(['a', 'b', 'c']);
    expect(await closed).to.deep.equal([0, null]);
    // nor did it wait for the time that it may stay
    expect(await stderr).to.equal('');
  });

  it('leaves a while after its last reply, though a timer keeps it and its host lives', async () => {
    const child = startServed('1', '4', '50');
    const [stderr, exited] = [text(child.stderr), once(child, 'exit')];
    child.stdin.end(frames(['keep', 'echo last']));
    expect(texts(parse((await child.stdout.toArray()) as Buffer[]))).to.deep.equal(['', 'last']);
    expect(await exited).to.deep.equal([0, null]);
    expect(await stderr).to.equal(
      'rexport: this process leaves 50 ms (`exitGraceMs`) after its last reply, though something keeps it\n',
    );
  });

  it('leaves no reply behind, however slow its host reads and however short the while is', async () => {
    const child = startServed('1', '4', '0');
    const exited = once(child, 'exit');
    child.stdin.end(frames(['keep', `bytes ${mebibytes * MIB}`, `bytes ${MIB}`]));
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if (chunks.length % 20 === 0) await delay(2);
    }
    expect(parse(chunks).map(({ length }) => length)).to.deep.equal([0, mebibytes * MIB, MIB]);
    expect(await exited).to.deep.equal([0, null]);
  });

  it('stays while something keeps it where the while is Infinity', async () => {
    const child = startServed('1', '4', 'Infinity');
    const [stderr, exited] = [text(child.stderr), once(child, 'exit')];
    child.stdin.end(frames(['keep 100']));
    child.stdout.resume();
    expect(await exited).to.deep.equal([0, null]);
    expect(await stderr).to.equal('the timer is over\n');
  });

  it('stays after its signal has fired, for its input has not ended', async () => {
    const child = startServed('1', '4', '0');
    const [stderr, exited] = [text(child.stderr), once(child, 'exit')];
    child.stdin.on('error', () => undefined).write(frames(['keep 100', 'stop']));
    child.stdout.resume();
    expect(await exited).to.deep.equal([0, null]);
    expect(await stderr).to.equal('the timer is over\n');
  });

  it('leaves with code 0 and without a word when nobody reads its replies any more', async () => {
    const child = startServed();
    const stderr = text(child.stderr);
    child.stdin.write(frames(['echo a']));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    child.stdin.on('error', () => undefined).write(frames(['echo b', 'echo c']));
    expect(await once(child, 'exit')).to.deep.equal([0, null]);
    expect(await stderr).to.equal('');
  });

  it('leaves when its signal fires, after the reply that it owes, though its input is open', async () => {
    const child = startServed();
    const exited = once(child, 'exit');
    child.stdin.on('error', () => undefined).write(frames(['stop', 'echo never']));
    const chunks = (await child.stdout.toArray()) as Buffer[];
    expect(texts(parse(chunks))).to.deep.equal(['stopped']);
    expect(await exited).to.deep.equal([0, null]);
  });

  it('writes what a handler threw to stderr and exits with code 1, after the replies before it', async () => {
    await using port = served({ maxInFlight: 8 }, '8');
    const before = ask(port, 'later 30 before');
    const failed = rejection(ask(port, 'throw cannot stand it'));
    const behind = rejection(ask(port, 'later 1 behind'));
    expect(await before).to.equal('before');
    const error = await failed;
    expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 1 });
    expect((error as ExitError).stderrTail).to.match(/^Error: cannot stand it\n {4}at answer /);
    expect(await behind).to.be.instanceOf(ExitError);
    expect(await ask(port, 'echo next')).to.equal('next');
    expect(await rejection(ask(port, 'nothing')).then(({ message }) => message)).to.include(
      'expected a message to be a string, a Buffer or another view, got a value of type undefined',
    );
  });

  it('gives many replies to a slow host in bounded memory', async () => {
    const child = spawn(process.execPath, ['--expose-gc', programPath('served'), '8']);
    // a child that keeps all has half again as much as the bound
    const [count, bound] = stressed([100, 40], [36, 30]);
    const messages = [...Array<string>(count).fill(`bytes ${MIB}`), 'peak'];
    child.stdin.write(frames(messages));
    const parser = new FrameParser();
    const replies: Buffer[] = [];
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      replies.push(...messagesOf(parser, chunk));
      // slower than the child; at the start it gets ahead as far as it can
      if (replies.length % 10 === 0) await delay(replies.length === 0 ? 10 : 1);
      if (replies.length === messages.length) break;
    }
    child.stdin.end();
    await once(child, 'exit');
    const peak = replies.pop();
    expect(replies.every(({ length }) => length === MIB)).to.equal(true);
    expect(Number(String(peak))).to.be.below(bound * MIB);
  });

  it('is gone within a second of a host that was killed, whatever its handler or its timers do', async () => {
    // one that is idle sees the end of its input, as one that waits for messages always does
    const states = [...stressed(['idle'], []), 'hanging', 'ended', 'kept'];
    const { process: host, ended } = startProgram('served-host', states);
    const pids = JSON.parse(String(await once(host.stdout as Readable, 'data'))) as number[];
    expect(pids).to.have.length(states.length);
    host.kill('SIGKILL');
    const left = await survivors(pids, 1000);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    expect(left).to.deep.equal([]);
    // the children had its stderr
    await ended;
  });
});
