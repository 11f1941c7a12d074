/** For the tests of code that takes a Port: the port is real, its child is a function. */
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import { type MessageHandler, PortServer, endStreams } from '../child/port-server';
import { ExitError } from '../errors';
import type { Framing } from '../framing/framing';
import { shown } from '../options';
import { OPEN_CHILD, type OpenChild, type OpenedChild } from '../port/session';
import { Duplex } from '../streams';

type Callback = (error?: Error | null) => void;

/** How a fake child ends; by default with code 1 and nothing on stderr. */
export interface Crash {
  /** 0 to 255. Default 1. */
  readonly exitCode?: number;
  /** Instead of a code. */
  readonly signal?: NodeJS.Signals;
  /** The last that it says on stderr, for the error. Default: nothing. */
  readonly stderr?: string;
}

class CrashError extends Error {
  constructor(readonly how: Crash) {
    super('the fake child crashed');
  }
}

/**
 * Called in the handler of a fake child: ends that child, with the message that it has.
 * @throws always
 */
export function crash(how: Crash = {}): never {
  throw new CrashError(how);
}

/**
 * Options of a Port, or of a PortPool, whose children are served by `handler` in this process: nothing is spawned, and
 * the command is but a name. `new Port('worker', { ...fakeChild((message) => answer(message)) })`
 *
 * All else is real: the frames, the queue, deadlines, restarts, events. A handler that takes its time is a slow child, one
 * that throws is a child that exits with code 1 and the error on stderr; see also `crash`.
 * @throws TypeError for a handler that is no function
 */
export function fakeChild(handler: MessageHandler): { readonly [OPEN_CHILD]: OpenChild } {
  if (typeof handler !== 'function') {
    throw new TypeError(`expected the handler of fakeChild to be a function, got ${shown(handler)}`);
  }
  let lastPid = 0;
  return { [OPEN_CHILD]: ({ command, framing }) => new FakeChild({ command, framing, handler, pid: ++lastPid }) };
}

interface FakeChildSettings {
  readonly command: string;
  readonly framing: Framing;
  readonly handler: MessageHandler;
  /** Counted from 1: no process has it. */
  readonly pid: number;
}

/** Does what a PortDuplex does, as far as a port looks. */
class FakeChild extends Duplex implements OpenedChild {
  pid: number | undefined;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  bytesWritten = 0;
  bytesRead = 0;
  readonly bytesDropped = 0;

  readonly #settings: FakeChildSettings;
  readonly #stdin = new PassThrough();
  readonly #stdout = new PassThrough();
  readonly #bornAt = performance.now();

  constructor(settings: FakeChildSettings) {
    super();
    this.#settings = settings;
    process.nextTick(() => this.#spawn());
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.bytesWritten += chunk.length;
    this.#stdin.write(chunk, callback);
  }

  override _final(callback: Callback): void {
    this.#stdin.end(callback);
  }

  override _read(): void {
    this.#stdout.resume();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#stdin.destroy();
    this.#stdout.destroy();
    if (this.pid !== undefined) this.#exit(null, 'SIGTERM');
    callback(error);
  }

  #spawn(): void {
    if (this.destroyed) return;
    const { handler, framing, pid } = this.#settings;
    this.pid = pid;
    this.#stdout.on('data', (chunk: Buffer) => {
      this.bytesRead += chunk.length;
      if (!this.push(chunk)) this.#stdout.pause();
    });
    const outlet = { output: this.#stdout, write: this.#stdout.write.bind(this.#stdout) };
    // Not servePort, which would keep this process while the port is idle.
    const server = new PortServer(
      { handler, onError: undefined, concurrency: 1, ordered: true, framing },
      this.#stdin,
      outlet,
    );
    const served = server.done.finally(() => endStreams(this.#stdin, this.#stdout));
    this.#stdout.once('end', () => {
      served.then(
        () => this.#end({ exitCode: 0 }),
        (error: unknown) => this.#end(error instanceof CrashError ? error.how : { stderr: `${inspect(error)}\n` }),
      );
    });
    served.catch(() => undefined);
    this.emit('spawn');
  }

  /** To a port every end of a child is an error; which of them are a success is its own affair. */
  #end({ exitCode = 1, signal, stderr = '' }: Crash): void {
    const { command } = this.#settings;
    const durationMs = performance.now() - this.#bornAt;
    if (signal === undefined) this.#exit(exitCode, null);
    else this.#exit(null, signal);
    const { exitCode: code, signalCode } = this;
    this.destroy(new ExitError({ command, exitCode: code, signal: signalCode, durationMs, stderrTail: stderr }));
  }

  #exit(exitCode: number | null, signal: NodeJS.Signals | null): void {
    if (this.exitCode !== null || this.signalCode !== null) return;
    this.exitCode = exitCode;
    this.signalCode = signal;
    this.emit('exit', exitCode, signal);
  }
}
