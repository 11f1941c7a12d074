/** For the tests of code that takes a Port: the port is real, its child is a function. */
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import { type MessageHandler, PortServer, type UnorderedMessageHandler, endStreams } from '../child/port-server';
import { ExitError } from '../errors';
import type { Framing } from '../framing/framing';
import { boolean, integer, refuseUnknown, shown } from '../options';
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

/** How a fake child serves: the options of `servePort`. */
export interface FakeChildOptions {
  /** How many messages are with the handler at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Whether each message has one reply, in the order of the messages. `false` is for protocols whose replies say what
   * they answer, as by an id: a reply then leaves when it is made, may be `undefined` for none, and the handler's second
   * argument has `send` for what is no reply. Default true.
   */
  readonly ordered?: boolean | undefined;
}

/**
 * Options of a Port, or of a PortPool, whose children are served by `handler` in this process: nothing is spawned, and
 * the command is but a name. `new Port('worker', { ...fakeChild((message) => answer(message)) })`
 *
 * All else is real: the frames, the queue, deadlines, restarts, events. A handler that takes its time is a slow child, one
 * that throws is a child that exits with code 1 and the error on stderr; see also `crash`.
 * @throws TypeError or RangeError for a handler that is no function, or a wrong option
 */
export function fakeChild(
  handler: UnorderedMessageHandler,
  options: FakeChildOptions & { readonly ordered: false },
): FakedChild;
export function fakeChild(handler: MessageHandler, options?: FakeChildOptions): FakedChild;
export function fakeChild(handler: UnorderedMessageHandler, options: FakeChildOptions = {}): FakedChild {
  if (typeof handler !== 'function') {
    throw new TypeError(`expected the handler of fakeChild to be a function, got ${shown(handler)}`);
  }
  refuseUnknown('fakeChild', options, ['concurrency', 'ordered']);
  const concurrency = integer('concurrency', options.concurrency ?? 1, 1, Number.MAX_SAFE_INTEGER);
  const ordered = boolean('ordered', options.ordered ?? true);
  let lastPid = 0;
  return {
    [OPEN_CHILD]: ({ command, framing }) =>
      new FakeChild({ command, framing, handler, concurrency, ordered, pid: ++lastPid }),
  };
}

interface FakedChild {
  readonly [OPEN_CHILD]: OpenChild;
}

interface FakeChildSettings {
  readonly command: string;
  readonly framing: Framing;
  readonly handler: UnorderedMessageHandler;
  readonly concurrency: number;
  readonly ordered: boolean;
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
    const { handler, concurrency, ordered, framing, pid } = this.#settings;
    this.pid = pid;
    this.#stdout.on('data', (chunk: Buffer) => {
      this.bytesRead += chunk.length;
      if (!this.push(chunk)) this.#stdout.pause();
    });
    const outlet = { output: this.#stdout, write: this.#stdout.write.bind(this.#stdout) };
    // Not servePort, which would keep this process while the port is idle.
    const serving = { handler, onError: undefined, concurrency, ordered, framing };
    const server = new PortServer(serving, this.#stdin, outlet);
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
