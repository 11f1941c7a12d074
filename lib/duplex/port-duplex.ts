import type * as node from 'node:stream';
import { Child } from '../process/child';
import type { ChildSpec } from '../process/child-spec';
import { endChild, ladder } from '../process/end-child';
import { neverStarted, type ExitStatus } from '../process/exit-status';
import { closeStdioPipes, type StdioPipes } from '../process/stdio-pipes';
import { StderrTail } from '../process/stderr-tail';
import type { StreamEvents } from '../stream-types';
import { Duplex } from '../streams';
import { guardListeners } from '../user-code';
import { ChildInput, type Callback } from './child-input';
import { ChildOutput } from './child-output';
import { Descriptor } from './descriptor';
import { Limits } from './limits';
import { Outcome } from './outcome';
import { checkPortDuplexOptions, checkSignalName } from './port-duplex-options';
import type { PortDuplexOptions, PortDuplexSettings } from './port-duplex-options';
import { PortIterator } from './port-iterator';
import { PipedStreams } from './redirect/piped-streams';
import { wire, type Wiring } from './redirect/redirection';
import { destroyedError, WriteCallbacks } from './write-callbacks';

/** The events of a PortDuplex beside those of every Duplex, with the arguments of their listeners. */
export interface PortDuplexEvents {
  /** The program runs. */
  spawn: [];
  /** It has ended, as on a ChildProcess: one of the two is null. Output may still be on the way. */
  exit: [exitCode: number | null, signal: NodeJS.Signals | null];
  /** Once, when it is noticed that the program takes no more; the bytes that it has not taken so far. */
  inputclosed: [bytesDropped: number | undefined];
  /** Its stdout has ended before it has exited. */
  outputclosed: [];
}

// Chunks are Buffers, or strings after setEncoding.
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Node declares it
type Events = PortDuplexEvents & StreamEvents<any>;
type Listener<Event extends keyof Events> = (...args: Events[Event]) => void;
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Node declares it, for events that we do not know
type AnyListener = (...args: any[]) => void;

/** A Duplex whose listeners know their arguments. */
interface TypedDuplex extends InstanceType<typeof Duplex> {
  on<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  on(event: string | symbol, listener: AnyListener): this;
  once<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  once(event: string | symbol, listener: AnyListener): this;
  addListener<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  addListener(event: string | symbol, listener: AnyListener): this;
  prependListener<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  prependListener(event: string | symbol, listener: AnyListener): this;
  prependOnceListener<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  prependOnceListener(event: string | symbol, listener: AnyListener): this;
  removeListener<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  removeListener(event: string | symbol, listener: AnyListener): this;
  off<Event extends keyof Events>(event: Event, listener: Listener<Event>): this;
  off(event: string | symbol, listener: AnyListener): this;
  emit<Event extends keyof Events>(event: Event, ...args: Events[Event]): boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Node declares it
  emit(event: string | symbol, ...args: any[]): boolean;
}

// A listener that throws must not keep the stream, or this class, from what comes after the event.
const TypedDuplex: new (options?: node.DuplexOptions) => TypedDuplex = guardListeners(Duplex);

/**
 * A program as a stream: what is written goes to its stdin, what is read is its stdout, and the outcome is the truth.
 *
 * - `end` and `finish` come only after the program has ended with a success; any other end is an `error` (ExitError).
 * - A reader sees every byte that the program wrote before that error; where nobody reads it comes at once.
 * - The stream is the program's life: destroyed, it ends the program; `close` says that the program is gone.
 * - A program that leaves early with a success (`head`) is a success; what it did not take is dropped.
 * - The program sees the end of its input only when that has ended well: at any other end its stdin stays open until it is
 *   gone, so that it cannot take the half for the whole.
 * - Chunks read are the reader's own; chunks written must not be changed before their callback.
 * - A listener or a callback that throws does not disturb the port: what it threw reaches the process in the next tick.
 *
 * Events in addition to a Duplex's: `spawn` (); `exit` (exitCode, signal), as on a ChildProcess; `inputclosed` (bytesDropped),
 * once, when it is noticed that the program takes no more; `outputclosed` (), when its stdout ends before it has exited.
 */
export class PortDuplex extends TypedDuplex {
  /** Resolves when the program has ended, or will never be started; never rejects. */
  readonly exited: Promise<ExitStatus>;
  /**
   * The program's descriptors that the option `stdio` names, as streams by their numbers; they exist before the spawn. What
   * goes `'in'` is a writable one, what comes `'out'` a readable one, `'duplex'` is both.
   *
   * - Unasked for, what the program writes there is drained. Once asked for it must be read or destroyed, or it holds the
   *   program back while it runs; what came before the first asking is not in it. It ends when the program has closed
   *   it or is gone.
   * - One that is written must be ended, for a program that waits for its end. Destroyed before, it destroys the port with
   *   its error, since the program would take the half for the whole. What the program does not take is dropped.
   * - They have no errors of their own: how the program ended is told by the port. With a port that is destroyed or fails,
   *   those still to be written are destroyed.
   */
  readonly fds: Readonly<Record<number, node.Duplex>>;

  readonly #settings: PortDuplexSettings;
  readonly #input: ChildInput;
  readonly #output: ChildOutput;
  readonly #stderr: StderrTail;
  readonly #outcome: Outcome;
  readonly #limits: Limits;
  readonly #descriptors: ReadonlyMap<number, Descriptor>;
  readonly #piped = new PipedStreams(this);
  readonly #wiring: Wiring;
  readonly #callbacks = new WriteCallbacks();
  #child: Child | undefined;
  #isRef = true;
  #hasBeenWritten = false;

  /**
   * The program is spawned in the tick after this one. No shell is involved unless you name one.
   * @throws TypeError or RangeError for a wrong argument or option; what the system refuses is an `error` (SpawnError)
   */
  constructor(command: string, args?: readonly string[], options?: PortDuplexOptions);
  constructor(command: string, options?: PortDuplexOptions);
  constructor(command: string, second?: readonly string[] | PortDuplexOptions, third?: PortDuplexOptions) {
    const settings = checkPortDuplexOptions(command, second, third);
    super(settings.sides);
    this.#settings = settings;
    const onError = (error: Error): void => void this.destroy(error);
    this.#input = new ChildInput(() => this.#inputClosed(), onError);
    this.#output = new ChildOutput(settings.orphanGraceMs, {
      push: (chunk) => this.push(chunk),
      onDone: () => this.#outputDone(),
      onError,
    });
    this.#stderr = new StderrTail(settings.stderrTailBytes, settings.orphanGraceMs, () => this.#outcome.settle());
    this.#limits = new Limits(settings, onError);
    this.#outcome = new Outcome({
      port: this,
      settings,
      input: this.#input,
      output: this.#output,
      stderr: this.#stderr,
      limits: this.#limits,
    });
    this.exited = this.#outcome.exited;
    this.#descriptors = new Map(
      Object.entries(settings.child.descriptors).map(([fd, use]) => {
        const { orphanGraceMs: graceMs, sides } = settings;
        const onCut = (error: Error | null): void => void this.destroy(error ?? undefined);
        return [Number(fd), new Descriptor({ use, graceMs, highWaterMark: sides.highWaterMark, onCut })];
      }),
    );
    this.fds = Object.freeze(
      Object.defineProperties(
        {},
        Object.fromEntries(
          [...this.#descriptors].map(([fd, descriptor]) => [fd, { enumerable: true, get: () => descriptor.stream }]),
        ),
      ),
    );
    this.once('end', () => this.#outputEnded());
    const wiringOf = (other: unknown) => (other instanceof PortDuplex ? other.#wiring : undefined);
    this.#wiring = wire({
      stream: this,
      settings,
      input: this.#input,
      output: this.#output,
      piped: this.#piped,
      openFurtherEnds: () => this.#child?.openFurtherEnds(),
      wiringOf,
    });
    process.nextTick(() => this.#wiring.connect((spec, pipes) => this.#spawn(spec, pipes)));
  }

  /** The program's process number; undefined before `spawn` and where that failed. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** null while the program runs, and where a signal ended it. */
  get exitCode(): number | null {
    return this.#child?.status?.exitCode ?? null;
  }

  /** The signal that ended the program; null while it runs, and where it exited by itself. */
  get signalCode(): NodeJS.Signals | null {
    return this.#child?.status?.signal ?? null;
  }

  /**
   * The program's stderr; null unless the option `stderr` is `'pipe'`. Unasked for, it is drained. Once asked for it
   * must be read or destroyed, or it holds the program back; what came before the first asking is not in it.
   */
  get stderr(): node.Readable | null {
    return this.#settings.child.stderr === 'pipe' ? this.#stderr.stream : null;
  }

  /** Bytes that the system has taken for the program's stdin; undefined where they do not come from us. */
  get bytesWritten(): number | undefined {
    return this.#input.isBypassed ? undefined : this.#input.bytesWritten;
  }

  /** Bytes that came from the program's stdout; undefined where they do not come to us. */
  get bytesRead(): number | undefined {
    return this.#output.isBypassed ? undefined : this.#output.bytesRead;
  }

  /** Bytes of the chunks that were written but that the program did not take whole, as far as noticed. */
  get bytesDropped(): number | undefined {
    return this.#input.isBypassed ? undefined : this.#input.bytesDropped;
  }

  override get writableNeedDrain(): boolean {
    return this.#wiring.isWaiting || super.writableNeedDrain;
  }

  /**
   * Sends a signal. A death of it is the program's own, and so an ExitError.
   * @returns whether it was sent; none is where there is no program, no more or not yet
   * @throws TypeError for what is no signal's name
   */
  kill(signal: NodeJS.Signals = this.#settings.child.killSignal): boolean {
    const name = checkSignalName('signal', signal);
    return this.#child?.kill(name) ?? false;
  }

  /** The program keeps this process alive again. */
  ref(): this {
    return this.#setRef(true);
  }

  /** This process may leave while the program runs; it then ends the program. */
  unref(): this {
    return this.#setRef(false);
  }

  /** As in Node, and any view of an ArrayBuffer, of whatever realm. */
  override write(chunk: unknown, callback?: Callback): boolean;
  override write(chunk: unknown, encoding?: BufferEncoding, callback?: Callback): boolean;
  override write(chunk: unknown, second?: BufferEncoding | Callback, third?: Callback): boolean {
    const callback = typeof second === 'function' ? second : third;
    const guarded = typeof callback === 'function' ? this.#callbacks.guard(callback) : undefined;
    this.#hasBeenWritten = true;
    try {
      const bytes = asBytes(chunk);
      const hasEncoding = second !== undefined && typeof second !== 'function';
      return hasEncoding ? super.write(bytes, second, guarded) : super.write(bytes, guarded);
    } catch (error) {
      this.#callbacks.forget(guarded);
      throw error;
    }
  }

  override end(callback?: () => void): this;
  override end(chunk: unknown, callback?: () => void): this;
  override end(chunk: unknown, encoding?: BufferEncoding, callback?: () => void): this;
  override end(first?: unknown, second?: BufferEncoding | Callback, third?: Callback): this {
    const rest = [first, second, third];
    const callback = rest.find((one): one is Callback => typeof one === 'function');
    if (typeof first !== 'function' && first !== undefined && first !== null) {
      this.write(first, typeof second === 'string' ? second : undefined);
    }
    return callback === undefined ? super.end() : super.end(this.#callbacks.guard(callback));
  }

  /** Destroys the port and waits until the program is gone. No error is raised. */
  override async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    if (!this.closed) await new Promise<void>((resolve) => this.once('close', resolve));
  }

  override [Symbol.asyncIterator](): ReturnType<node.Duplex[typeof Symbol.asyncIterator]> {
    return new PortIterator(this);
  }

  override read(size?: number): ReturnType<node.Duplex['read']> {
    if (size !== 0 && this.#outcome.reader === 'none') this.#outcome.reader = 'reading'; // read(0) is the stream's own
    const chunk: unknown = super.read(size);
    // A failure may have waited for the reader to take the last byte.
    this.#outcome.settle();
    return chunk;
  }

  override pipe<Sink extends NodeJS.WritableStream>(sink: Sink, options?: { end?: boolean }): Sink {
    this.#piped.sinks.add(sink);
    return super.pipe(sink, options);
  }

  override unpipe(sink?: NodeJS.WritableStream): this {
    this.#piped.unpiped(sink);
    return super.unpipe(sink);
  }

  override _read(): void {
    this.#output.demand();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#input.write([chunk], callback);
  }

  override _writev(entries: { chunk: Buffer }[], callback: Callback): void {
    const chunks = entries.map((entry) => entry.chunk);
    this.#input.write(chunks, callback);
  }

  override _final(callback: Callback): void {
    this.#input.end();
    this.#outcome.final(callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const reason = error ?? destroyedError();
    this.#limits.release();
    this.#input.cut(reason);
    this.#outcome.cut(reason);
    this.#output.discard();
    const isCut = error !== null || this.#child?.status === undefined;
    if (isCut) for (const descriptor of this.#descriptors.values()) descriptor.cut();
    const done = (): void => {
      this.#stderr.release();
      for (const descriptor of this.#descriptors.values()) descriptor.release();
      this.#callbacks.fail(reason);
      this.#exited(this.#child?.status);
      callback(error);
    };
    const { child, forceKillAfterMs } = this.#settings;
    if (this.#child === undefined) done();
    else endChild(this.#child, ladder(child.killSignal, forceKillAfterMs), done);
  }

  #spawn(spec: ChildSpec, pipes: StdioPipes | undefined): void {
    if (this.destroyed) {
      if (pipes) closeStdioPipes(pipes);
      return;
    }
    this.#child = Child.spawn(spec, (error) => this.destroy(error), pipes);
    if (this.#child === undefined) return;
    this.#child.onExit((status) => this.#wiring.exited(status, () => this.#exited(status)));
    if (!this.#isRef) this.#child.setRef(false);
    this.#limits.childSpawned();
    this.#output.attach(this.#child.stdout);
    this.#stderr.attach(this.#child.stderr);
    this.#input.attach(this.#child.stdin);
    for (const [fd, end] of this.#child.descriptors) this.#descriptors.get(fd)?.attach(end);
    this.emit('spawn');
  }

  /** @param status undefined: there never was a child, or it cannot be ended */
  #exited(status: ExitStatus | undefined): void {
    if (this.#outcome.status !== undefined) return;
    if (status === undefined) {
      this.#outcome.ended(neverStarted);
      return;
    }
    this.#limits.childExited();
    this.#output.exited();
    this.#stderr.exited();
    for (const descriptor of this.#descriptors.values()) descriptor.exited();
    this.#outcome.ended(status);
    this.#tellUpstream();
    this.emit('exit', status.exitCode, status.signal);
    this.#outcome.settle();
  }

  #inputClosed(): void {
    if (!this.destroyed) this.emit('inputclosed', this.bytesDropped);
    this.#tellUpstream();
    this.#outcome.settle();
  }

  #outputDone(): void {
    this.#stderr.leave();
    const hasExited = this.#child?.status !== undefined;
    if (!hasExited && this.#outcome.reader !== 'left' && this.readable) this.emit('outputclosed');
    this.#outcome.settle();
  }

  /**
   * All was read, and the program has ended with a success. Where nobody writes and nobody means to, nobody would end the
   * writable side either, and the port would never close. Where somebody does, a later write would fail by its timing.
   */
  #outputEnded(): void {
    const hasWriter = this.#hasBeenWritten || this.#piped.sources.size + this.listenerCount('drain') > 0;
    if (!hasWriter && this.writable) this.end();
  }

  /** A source that feeds nobody else need not go on for a reader that takes no more: what ends `yes | head`. */
  #tellUpstream(): void {
    for (const source of this.#piped.feeders) if (source instanceof PortDuplex) source.#readerLeft();
  }

  /** A failure is not forgiven because the reader has left: one that comes while the rest is read on is raised. */
  #readerLeft(): void {
    if (this.#child === undefined) return;
    this.#output.readOn(() => {
      if (this.#outcome.status === undefined) this.#outcome.reader = 'left';
    });
  }

  #setRef(isRef: boolean): this {
    this.#isRef = isRef;
    this.#child?.setRef(isRef);
    return this;
  }
}

/** A view that is no Uint8Array of this realm, as one; a string, and what is no chunk, as it is. */
function asBytes(chunk: unknown): unknown {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array || !ArrayBuffer.isView(chunk)) return chunk;
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
