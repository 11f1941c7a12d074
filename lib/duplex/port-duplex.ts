import type * as node from 'node:stream';
import { Child } from '../process/child';
import type { ChildSpec } from '../process/child-spec';
import { endChild, ladder } from '../process/end-child';
import { neverStarted, type ExitStatus } from '../process/exit-status';
import { closeStdioPipes, type StdioPipes } from '../process/stdio-pipes';
import { StderrTail } from '../process/stderr-tail';
import { Duplex } from '../streams';
import { ChildInput, type Callback } from './child-input';
import { ChildOutput } from './child-output';
import { iterate } from './iterate';
import { Limits } from './limits';
import { Neighbours } from './neighbours';
import { Outcome } from './outcome';
import { checkPortDuplexOptions, checkSignalName } from './port-duplex-options';
import type { PortDuplexOptions, PortDuplexSettings } from './port-duplex-options';
import { wire, type Wiring } from './redirect';

/**
 * A program as a stream: what is written goes to its stdin, what is read is its stdout, and the outcome is the truth.
 *
 * - `end` and `finish` come only after the program has ended with a success; any other end is an `error` (ExitError).
 * - Who reads sees every byte that the program wrote before that error; where nobody reads it comes at once.
 * - The stream is the program's life: destroyed, it ends the program; `close` says that the program is gone.
 * - A program that leaves early with a success (`head`) is a success; what it did not take is dropped.
 * - Chunks read are the reader's own; chunks written must not be changed before their callback.
 *
 * Events besides a Duplex's: `spawn` (); `exit` (exitCode, signal), as on a ChildProcess; `inputclosed` (bytesDropped),
 * once, when it is noticed that the program takes no more; `outputclosed` (), when its stdout ends before it has exited.
 */
export class PortDuplex extends Duplex {
  /** Resolves when the program has ended, or will never be started; never rejects. */
  readonly exited: Promise<ExitStatus>;

  readonly #settings: PortDuplexSettings;
  readonly #input: ChildInput;
  readonly #output: ChildOutput;
  readonly #stderr: StderrTail;
  readonly #outcome: Outcome;
  readonly #limits: Limits;
  readonly #neighbours = new Neighbours(this);
  readonly #wiring: Wiring;
  #child: Child | undefined;
  #isRef = true;

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
    this.#outcome = new Outcome(this, settings, this.#input, this.#output, this.#stderr);
    this.exited = this.#outcome.exited;
    this.once('end', () => this.#outputEnded());
    this.#limits = new Limits(settings, onError);
    const wiringOf = (other: unknown) => (other instanceof PortDuplex ? other.#wiring : undefined);
    this.#wiring = wire({ stream: this, settings, input: this.#input, neighbours: this.#neighbours, wiringOf });
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

  /** Destroys the port and waits until the program is gone. No error is raised. */
  override async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    if (!this.closed) await new Promise<void>((resolve) => this.once('close', resolve));
  }

  override [Symbol.asyncIterator](): ReturnType<node.Duplex[typeof Symbol.asyncIterator]> {
    return iterate(this);
  }

  override read(size?: number): ReturnType<node.Duplex['read']> {
    if (size !== 0) this.#outcome.hasBeenRead = true; // read(0) is the stream's own
    const chunk: unknown = super.read(size);
    // A failure may have waited for the reader to take the last byte.
    this.#outcome.settle();
    return chunk;
  }

  override pipe<Sink extends NodeJS.WritableStream>(sink: Sink, options?: { end?: boolean }): Sink {
    this.#neighbours.sinks.add(sink);
    return super.pipe(sink, options);
  }

  override unpipe(sink?: NodeJS.WritableStream): this {
    this.#neighbours.unpiped(sink);
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
    this.#limits.release();
    this.#input.release(error);
    this.#output.discard();
    const done = (): void => {
      this.#stderr.release();
      this.#outcome.ended(this.#child?.status ?? neverStarted);
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
    this.emit('spawn');
  }

  #exited(status: ExitStatus): void {
    this.#limits.childExited();
    this.#output.exited();
    this.#stderr.exited();
    this.#tellUpstream();
    this.#outcome.ended(status);
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
    if (this.#child?.status === undefined && !this.#outcome.hasBeenLeft && this.readable) this.emit('outputclosed');
    this.#outcome.settle();
  }

  /** A port that nobody writes to is not ended by anybody and never closes: a shared signal must not keep it. */
  #outputEnded(): void {
    if (this.#neighbours.sources.size + this.writableLength + this.#input.bytesSeen === 0) this.#limits.release();
  }

  /** Another port that feeds nobody else need not go on for a reader that takes no more: what `yes | head` does. */
  #tellUpstream(): void {
    for (const source of this.#neighbours.feeders) if (source instanceof PortDuplex) source.#readerLeft();
  }

  #readerLeft(): void {
    if (this.#child === undefined || this.#outcome.status !== undefined) return;
    this.#outcome.hasBeenLeft = true;
    this.#output.leave();
  }

  #setRef(isRef: boolean): this {
    this.#isRef = isRef;
    this.#child?.setRef(isRef);
    return this;
  }
}
