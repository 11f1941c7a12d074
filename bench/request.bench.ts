/**
 * What a request costs, with a child that answers in batches and with one that answers message by message: each question of
 * latency and rate names its child. Both ends are on one core then: unpinned, these swing tenfold.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Port } from '../lib';
import { batches, messageByMessage, type EchoChild } from './echo-children';
import type { Bench, Contender, Question, Run, Work } from './harness';

const MESSAGE = Buffer.alloc(64, 'x');

/** `size` requests, this many of them in flight; `each` is called around each of them. */
async function request(port: Port, { size }: Work, inFlight: number, times?: number[]): Promise<void> {
  let left = size;
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const startedAt = times === undefined ? 0 : performance.now();
      await port.request(MESSAGE);
      times?.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}

function port(child: EchoChild, inFlight: number): Contender {
  return async (work) => {
    const echo = new Port(...child.program(work), { maxInFlight: inFlight });
    await echo.request(MESSAGE);
    return () => request(echo, work, inFlight);
  };
}

/** Microseconds of the request that is slower than this share of all. */
function percentile(inFlight: number, share: number): Contender {
  return async (work) => {
    const cat = new Port('cat', { maxInFlight: inFlight });
    await cat.request(MESSAGE);
    return async () => {
      const times: number[] = [];
      await request(cat, work, inFlight, times);
      return 1000 * times.sort((a, b) => a - b)[Math.floor(share * times.length)]!;
    };
  };
}

/** As little as can be done: a write, and `data` until all of the frame is back. */
const pingPong =
  (echo: EchoChild): Contender =>
  async (work) => {
    const child = spawn(...echo.program(work), { stdio: ['pipe', 'pipe', 'ignore'] });
    await once(child, 'spawn');
    const frame = Buffer.alloc(4 + MESSAGE.length);
    frame.writeUInt32BE(MESSAGE.length);
    MESSAGE.copy(frame, 4);
    let missing = 0;
    let done = (): void => {};
    child.stdout.on('data', (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing === 0) done();
    });
    return async () => {
      for (let count = 0; count < work.size; count += 1) {
        missing = frame.length;
        const back = new Promise<void>((resolve) => (done = resolve));
        child.stdin.write(frame);
        await back;
      }
    };
  };

const ERLANG_LOOP = `
-module(requests).
-export([main/1]).

main([Size, InFlight, Program | Args]) ->
  Port = open_port({spawn_executable, os:find_executable(Program)}, [{args, Args}, {packet, 4}, binary]),
  Message = binary:copy(<<"x">>, ${MESSAGE.length}),
  run(Port, Message, list_to_integer(InFlight), 5000),
  {Microseconds, _} =
    timer:tc(fun() -> run(Port, Message, list_to_integer(InFlight), list_to_integer(Size)) end),
  io:format("~p", [Microseconds]),
  halt().

run(Port, Message, InFlight, Size) ->
  [port_command(Port, Message) || _ <- lists:seq(1, InFlight)],
  go(Port, Message, Size - InFlight),
  [take(Port) || _ <- lists:seq(1, InFlight)].

go(_, _, 0) -> ok;
go(Port, Message, Left) -> take(Port), port_command(Port, Message), go(Port, Message, Left - 1).

take(Port) -> receive {Port, {data, _}} -> ok end.
`;

/** The same by Erlang's port; compiled, for what is evaluated is interpreted. Its loop is warm when it takes the time. */
function erlang(child: EchoChild, inFlight: number): Contender {
  return async (work) => {
    const { folder, size } = work;
    const [command, args] = child.program(work);
    const run = promisify(execFile);
    await writeFile(join(folder, 'requests.erl'), ERLANG_LOOP);
    try {
      await run('erlc', ['requests.erl'], { cwd: folder });
    } catch {
      return 'there is no erlc that works';
    }
    const start = ['-noinput', '+S', '1', '-run', 'requests', 'main'];
    return async () => {
      const { stdout } = await run('erl', [...start, `${size}`, `${inFlight}`, command, ...args], { cwd: folder });
      return Number(stdout) / 1e6;
    };
  };
}

/** npm runs a script in the package's directory; this file is compiled into another. */
const echoInPerl = resolve('spec/programs/echo.pl');

function items({ size }: Work, one: (item: string) => Promise<unknown>): Run {
  return async () => {
    for (let count = 0; count < size; count += 1) await one(`item ${count}`);
  };
}

function latency(child: EchoChild): Question {
  return {
    title: `requests of 64 bytes to ${child.title}, one in flight; both ends on one core`,
    size: 20_000,
    ratio: 'cost',
    // The first 40,000 requests take up to twice the time of those after them: the compiler has more to do here than in a bare loop.
    warmups: 3,
    turns: 3,
    rounds: 3,
    targets: { 'write and data': 0.9, Erlang: 1.15 },
    isPinned: true,
    prepare: child.prepare,
    contenders: { Port: port(child, 1), 'write and data': pingPong(child), Erlang: erlang(child, 1) },
  };
}

function rate(child: EchoChild): Question {
  return {
    title: `requests of 64 bytes to ${child.title}; both ends on one core`,
    size: 100_000,
    warmups: 3,
    targets: { '1 in flight': 3, 'Erlang, 64 in flight': child === batches ? 0.9 : 0.7 },
    isPinned: true,
    prepare: child.prepare,
    contenders: {
      '64 in flight': port(child, 64),
      '8 in flight': port(child, 8),
      '1 in flight': port(child, 1),
      'Erlang, 64 in flight': erlang(child, 64),
    },
  };
}

export const bench: Bench = {
  latency: latency(batches),
  'latency-by-message': latency(messageByMessage),
  rate: rate(batches),
  'rate-by-message': rate(messageByMessage),
  percentiles: {
    title:
      'requests of 64 bytes to `cat`, of which one takes that long, the wait behind others included; both ends on one core',
    size: 50_000,
    ratio: 'cost',
    unit: 'us',
    rounds: 5,
    isPinned: true,
    contenders: {
      'p50, 1 in flight': percentile(1, 0.5),
      'p99, 1 in flight': percentile(1, 0.99),
      'p50, 8 in flight': percentile(8, 0.5),
      'p99, 8 in flight': percentile(8, 0.99),
      'p50, 64 in flight': percentile(64, 0.5),
      'p99, 64 in flight': percentile(64, 0.99),
    },
  },
  warm: {
    title: 'items through a program in Perl, the start of the warm port included',
    size: 2000,
    runSeconds: 3,
    rounds: 3,
    warmups: 0,
    targets: { 'a process per item': 10 },
    contenders: {
      'one warm port': (work) => async () => {
        await using perl = new Port('perl', [echoInPerl]);
        await items(work, (item) => perl.request(item))();
      },
      'a process per item': (work) =>
        items(work, async (item) => {
          const child = spawn('perl', ['-e', 'print <STDIN>']);
          child.stdout.resume();
          child.stderr.resume();
          child.stdin.end(item);
          await once(child, 'close');
        }),
    },
  },
};
