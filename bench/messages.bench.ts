/** The whole way: messages, encoder, a child that echoes bytes, decoder, a sink that counts. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { LengthPrefixDecoder, LengthPrefixEncoder, PortDuplex } from '../lib';
import { TwoPush } from './encode.bench';
import type { Bench, Contender, Question, Run } from './harness';

/** Erlang's own port, its sender never waiting for an answer: the port itself holds it back when it is full. */
const ERLANG = `
-module(echo).
-export([run/2]).

run(Bytes, Count) ->
  Port = open_port({spawn, "cat"}, [{packet, 4}, binary]),
  Message = binary:copy(<<"x">>, Bytes),
  round(Port, Message, Count),
  Started = erlang:monotonic_time(microsecond),
  round(Port, Message, Count),
  io:format("~p~n", [erlang:monotonic_time(microsecond) - Started]).

round(Port, Message, Count) ->
  spawn(fun() -> send(Port, Message, Count) end),
  receive_all(Port, Count).

send(_, _, 0) -> ok;
send(Port, Message, Count) -> port_command(Port, Message), send(Port, Message, Count - 1).

receive_all(_, 0) -> ok;
receive_all(Port, Count) -> receive {Port, {data, _}} -> receive_all(Port, Count - 1) end.
`;

function source(messageBytes: number, count: number): Readable {
  const message = Buffer.alloc(messageBytes, 'x');
  let left = count;
  return new Readable({
    objectMode: true,
    read() {
      while (left > 0) {
        left--;
        if (!this.push(message)) return;
      }
      this.push(null);
    },
  });
}

class Counter extends Writable {
  count = 0;

  constructor() {
    super({ objectMode: true });
  }

  override _write(_message: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.count++;
    callback();
  }
}

function expectAll({ count }: Counter, size: number): void {
  if (count !== size) throw new Error(`expected ${size} messages, got ${count}`);
}

function rexport(messageBytes: number): Contender {
  return ({ size }): Run =>
    async () => {
      const sink = new Counter();
      const stages = [new LengthPrefixEncoder(), new PortDuplex('cat'), new LengthPrefixDecoder(), sink];
      await pipeline([source(messageBytes, size), ...stages]);
      expectAll(sink, size);
    };
}

/** The same decoder, so that only the way in differs. */
function twoPush(messageBytes: number): Contender {
  return ({ size }): Run =>
    async () => {
      const { stdin, stdout } = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
      const sink = new Counter();
      await Promise.all([
        pipeline(source(messageBytes, size), new TwoPush(), stdin),
        pipeline(stdout, new LengthPrefixDecoder(), sink),
      ]);
      expectAll(sink, size);
    };
}

function erlang(messageBytes: number): Contender {
  return async ({ folder, size }): Promise<Run | string> => {
    if (spawnSync('erl', ['-version']).error !== undefined) return 'erl is not installed';
    await writeFile(join(folder, 'echo.erl'), ERLANG);
    return async () => {
      const program = `{ok, echo} = compile:file("echo.erl"), echo:run(${messageBytes}, ${size}), halt(0).`;
      const { stdout } = spawn('erl', ['-noshell', '-eval', program], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      return Number((await text(stdout)).trim()) / 1e6;
    };
  };
}

function question(messageBytes: number, size: number, targets: Question['targets'] & object): Question {
  return {
    title: `messages of ${messageBytes} bytes through \`cat\` (size: messages)`,
    size,
    rounds: 5,
    warmups: 2,
    targets,
    contenders: {
      'encoder, PortDuplex, decoder': rexport(messageBytes),
      'two pushes': twoPush(messageBytes),
      'Erlang open_port': erlang(messageBytes),
    },
  };
}

export const bench: Bench = {
  '64': question(64, 4_000_000, { 'two pushes': 10, 'Erlang open_port': 5 }),
  '1024': question(1024, 1_200_000, { 'two pushes': 4, 'Erlang open_port': 2 }),
  '65536': question(65_536, 30_000, { 'two pushes': 1, 'Erlang open_port': 1.2 }),
};
