/** The whole way: messages, encoder, a child that echoes bytes, decoder, a sink that counts. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { LengthPrefixDecoder, LengthPrefixEncoder, PortDuplex, type PortDuplexOptions } from '../lib';
import { batches, messageByMessage, type EchoChild } from './echo-children';
import { TwoPush } from './encode.bench';
import type { Bench, Contender, Question, Run } from './harness';

/** Erlang's own port, its sender never waiting for an answer: the port itself holds it back when it is full. */
const ERLANG = `
-module(echo).
-export([run/4]).

run(Bytes, Count, Program, Args) ->
  Port = open_port({spawn_executable, os:find_executable(Program)}, [{args, Args}, {packet, 4}, binary]),
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

function rexport(child: EchoChild, messageBytes: number, options: PortDuplexOptions = {}): Contender {
  return (work): Run =>
    async () => {
      const sink = new Counter();
      const port = new PortDuplex(...child.program(work), options);
      const stages = [new LengthPrefixEncoder(), port, new LengthPrefixDecoder(), sink];
      await pipeline([source(messageBytes, work.size), ...stages]);
      expectAll(sink, work.size);
    };
}

/** The same decoder, so that only the way in differs. */
function twoPush(child: EchoChild, messageBytes: number): Contender {
  return (work): Run =>
    async () => {
      const { size } = work;
      const { stdin, stdout } = spawn(...child.program(work), { stdio: ['pipe', 'pipe', 'inherit'] });
      const sink = new Counter();
      await Promise.all([
        pipeline(source(messageBytes, size), new TwoPush(), stdin),
        pipeline(stdout, new LengthPrefixDecoder(), sink),
      ]);
      expectAll(sink, size);
    };
}

function erlang(child: EchoChild, messageBytes: number): Contender {
  return async (work): Promise<Run | string> => {
    const { folder, size } = work;
    if (spawnSync('erl', ['-version']).error !== undefined) return 'erl is not installed';
    await writeFile(join(folder, 'echo.erl'), ERLANG);
    return async () => {
      const [command, args] = child.program(work);
      // Both notations of a list of strings are the same.
      const run = `echo:run(${messageBytes}, ${size}, ${JSON.stringify(command)}, ${JSON.stringify(args)})`;
      const program = `{ok, echo} = compile:file("echo.erl"), ${run}, halt(0).`;
      const { stdout } = spawn('erl', ['-noshell', '-eval', program], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      return Number((await text(stdout)).trim()) / 1e6;
    };
  };
}

function question(
  child: EchoChild,
  messageBytes: number,
  size: number,
  targets: Question['targets'] & object,
): Question {
  return {
    title: `messages of ${messageBytes} bytes through ${child.title}`,
    size,
    rounds: 5,
    runSeconds: 2,
    warmups: 2,
    targets,
    prepare: child.prepare,
    contenders: {
      'encoder, PortDuplex, decoder': rexport(child, messageBytes),
      'the same with pipes': rexport(child, messageBytes, { pipes: true }),
      'two pushes': twoPush(child, messageBytes),
      'Erlang open_port': erlang(child, messageBytes),
    },
  };
}

export const bench: Bench = {
  '64': question(batches, 64, 4_000_000, { 'two pushes': 10, 'Erlang open_port': 5 }),
  '1024': question(batches, 1024, 1_200_000, { 'two pushes': 4, 'Erlang open_port': 2 }),
  '65536': question(batches, 65_536, 30_000, { 'two pushes': 1, 'Erlang open_port': 1.2 }),
  '64-by-message': question(messageByMessage, 64, 400_000, {}),
  '1024-by-message': question(messageByMessage, 1024, 400_000, { 'Erlang open_port': 1 }),
  '65536-by-message': question(messageByMessage, 65_536, 30_000, { 'Erlang open_port': 1 }),
};
