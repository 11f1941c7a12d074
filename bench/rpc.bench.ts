/** What a request costs that is said in JSON-RPC behind `Content-Length` headers, answered by its id: the same child for all. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { contentLength, jsonRpc, Port, type JsonRpcMessage } from '../lib';
import type { Bench, Contender, Question, Work } from './harness';

const CHILD = join(__dirname, 'rpc-child.js');

interface Row {
  readonly uri: string;
  readonly position: { readonly line: number; readonly character: number };
}

type Ask = (params: Row) => Promise<Row>;

/** As much of it as is called here: it is loaded when it is measured, so that no other bench needs it. */
interface VscodeJsonRpc {
  readonly StreamMessageReader: new (input: Readable) => unknown;
  readonly StreamMessageWriter: new (output: Writable) => unknown;
  readonly createMessageConnection: (
    reader: unknown,
    writer: unknown,
  ) => { listen(): void; sendRequest(method: string, params: unknown): Promise<Row> };
}

/** `size` requests, this many of them in flight. */
async function askAll({ size }: Work, inFlight: number, ask: Ask): Promise<void> {
  let left = size;
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const line = left;
      const reply = await ask({ uri: 'file:///project/source/file.ts', position: { line, character: 7 } });
      if (reply.position.line !== line) throw new Error(`expected ${line}, got ${reply.position.line}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}

function port(inFlight: number): Contender {
  return async (work) => {
    const rpc = new Port<JsonRpcMessage, Row, JsonRpcMessage>(process.execPath, [CHILD], {
      framing: contentLength(),
      protocol: jsonRpc<Row>(),
      maxInFlight: inFlight,
    });
    await rpc.start();
    return () => askAll(work, inFlight, (params) => rpc.request({ method: 'textDocument/hover', params }));
  };
}

function vscode(inFlight: number): Contender {
  return async (work) => {
    const { createMessageConnection, StreamMessageReader, StreamMessageWriter } = createRequire(__filename)(
      'vscode-jsonrpc/node',
    ) as VscodeJsonRpc;
    const child = spawn(process.execPath, [CHILD], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child, 'spawn');
    const connection = createMessageConnection(
      new StreamMessageReader(child.stdout),
      new StreamMessageWriter(child.stdin),
    );
    connection.listen();
    return () => askAll(work, inFlight, (params) => connection.sendRequest('textDocument/hover', params));
  };
}

function question(inFlight: number, size: number): Question {
  return {
    title: `requests by jsonRpc() and contentLength(), ${inFlight} in flight; both ends on one core`,
    size,
    warmups: 2,
    turns: 3,
    rounds: 3,
    targets: { 'vscode-jsonrpc': 1 },
    isPinned: true,
    contenders: { Port: port(inFlight), 'vscode-jsonrpc': vscode(inFlight) },
  };
}

export const bench: Bench = {
  '64': question(64, 20_000),
  '1': question(1, 10_000),
};
