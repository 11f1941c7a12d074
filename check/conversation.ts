/** One run of the program under check: what is sent to it, and all that can be seen of it. */
import { type ExitStatus, PortDuplex, RexPortError } from '../lib/index';
import type { Wire } from './wire';

/** How long things take, in milliseconds. */
export interface Timing {
  /** The longest silence of a program in an experiment, which is to find out why it does not answer. */
  readonly experimentMs: number;
  /** Between two bytes of a message that is sent a byte at a time, */
  readonly dripMs: number;
  /** and inside the length, and inside the message. */
  readonly longDripMs: number;
  /** How long more bytes than were asked for are waited for. */
  readonly extraMs: number;
}

const TIMING: Timing = { experimentMs: 2000, dripMs: 2, longDripMs: 100, extraMs: 50 };

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly wire: Wire;
  /** `'fd3'`: it reads its descriptor 3 and writes its 4. Default `'stdio'`. */
  readonly channel?: 'stdio' | 'fd3' | undefined;
  /** The longest silence that is waited for, in milliseconds. */
  readonly timeoutMs: number;
  readonly timing?: Partial<Timing> | undefined;
  /** The size of its large message, in MiB. Default 8. */
  readonly largeMib?: number | undefined;
}

export function timingOf({ timing }: Program): Timing {
  return { ...TIMING, ...timing };
}

/** What is sent, and what should come back. */
export interface Exchange {
  readonly request: Buffer;
  /** undefined: any one message. */
  readonly expected: Buffer | undefined;
}

/** The program could not be started: nothing was checked. */
export class NotStartedError extends Error {}

const STEP_MS = 50;
/** A program that is never silent is waited for this many times the longest silence. */
const MOST_SILENCES = 4;
const MIB = 1024 * 1024;
/** What a program may send on top of what it should. */
const EXTRA_BYTES = MIB;
/** What a reply may have that nobody has described. */
const UNKNOWN_REPLY_BYTES = 16 * MIB;
const STDERR_CHARACTERS = 4096;

export class Conversation {
  /** What came in whole frames. */
  readonly replies: Buffer[] = [];
  /** How it ended; undefined while it runs. */
  status: ExitStatus | undefined;
  stderr = '';
  /** It sent far more than it should, and nothing more is taken. */
  isFlooding = false;

  readonly #program: Program;
  readonly #wire: Wire;
  readonly #port: PortDuplex;
  readonly #reader: ReturnType<Wire['reader']>;
  readonly #chunks: Buffer[] = [];
  #bytesTaken = 0;
  #mostBytes = EXTRA_BYTES;
  /** Where the replies so far end. */
  #repliesEnd = 0;
  #isUnreadable = false;
  /** No byte comes any more. */
  #isOver = false;
  #notStarted: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(program: Program, wire = program.wire) {
    this.#program = program;
    this.#wire = wire;
    this.#reader = wire.reader();
    const { command, args, channel } = program;
    const port = new PortDuplex(command, args, { channel, forceKillAfterMs: 1000 });
    this.#port = port;
    port.stderr?.on('data', (chunk: Buffer) => (this.stderr = (this.stderr + String(chunk)).slice(-STDERR_CHARACTERS)));
    port.on('data', (chunk: Buffer) => this.#take(chunk));
    port.once('exit', (exitCode: number | null, signal: NodeJS.Signals | null) => {
      this.status = { exitCode, signal, durationMs: 0 };
    });
    const over = (): void => {
      this.#isOver = true;
      this.#wake?.();
    };
    port.once('end', over).once('close', over);
    port.once('error', (error) => {
      // How it ended is in `status`.
      if (error instanceof RexPortError && error.code === 'ERR_REXPORT_SPAWN') this.#notStarted = error;
      over();
    });
  }

  /** All bytes that came. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Those behind the last whole frame. */
  get rest(): Buffer {
    const { bytes } = this;
    return bytes.subarray(this.#wire.endOf?.(bytes) ?? this.#repliesEnd);
  }

  get pid(): number | undefined {
    return this.#port.pid;
  }

  sendBytes(bytes: Buffer): void {
    this.#port.write(bytes);
  }

  /** Sends the requests in one write. */
  send(...exchanges: readonly Exchange[]): void {
    this.expect(...exchanges);
    this.sendBytes(Buffer.concat(exchanges.map(({ request }) => this.#wire.frame(request))));
  }

  /** Makes room for the replies to requests that are sent as bytes. */
  expect(...exchanges: readonly Exchange[]): void {
    for (const { request, expected } of exchanges) {
      this.#mostBytes += expected === undefined ? UNKNOWN_REPLY_BYTES : request.length + expected.length;
    }
  }

  endInput(): void {
    this.#port.end();
  }

  /** Waits for this many replies in all; no longer when no more can come, or nothing has moved for the longest silence. */
  async awaitReplies(count: number, silenceMs?: number): Promise<boolean> {
    await this.#await(() => this.replies.length >= count || this.#isUnreadable, silenceMs);
    return this.replies.length >= count;
  }

  /** Waits for any byte behind what has come. */
  async awaitBytes(silenceMs: number): Promise<boolean> {
    const before = this.#bytesRead;
    await this.#await(() => this.#bytesRead > before, silenceMs);
    return this.#bytesRead > before;
  }

  /** Waits for the end of the program, all that it printed included. */
  async awaitExit(silenceMs?: number, mostMs?: number): Promise<ExitStatus | undefined> {
    await this.#await(() => false, silenceMs, mostMs);
    return this.#isOver ? this.status : undefined;
  }

  /** Ends the program and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port[Symbol.asyncDispose]();
  }

  get #bytesRead(): number {
    return this.#port.bytesRead ?? 0;
  }

  /** Time is counted in steps, not by the clock: where this process is held up, the program is not to blame. */
  async #await(
    isThere: () => boolean,
    silenceMs = this.#program.timeoutMs,
    mostMs = MOST_SILENCES * silenceMs,
  ): Promise<void> {
    const stepMs = Math.min(silenceMs, STEP_MS);
    let moved = -1;
    let silentMs = 0;
    let ms = 0;
    while (!isThere() && !this.#isOver && !this.isFlooding && silentMs < silenceMs && ms < mostMs) {
      const began = performance.now();
      await this.#step(stepMs);
      ms += Math.min(performance.now() - began, stepMs);
      const now = this.#bytesRead + (this.#port.bytesWritten ?? 0);
      silentMs = now === moved ? silentMs + stepMs : 0;
      moved = now;
    }
    if (this.#notStarted !== undefined) throw new NotStartedError(this.#notStarted.message);
  }

  /** Waits for this time, or until something has come. */
  async #step(stepMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, stepMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytesTaken += chunk.length;
    if (!this.#isUnreadable) this.#read(chunk);
    if (this.#bytesTaken > this.#mostBytes) {
      this.isFlooding = true;
      this.#port.pause();
    }
    this.#wake?.();
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.write(chunk);
      for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
        this.replies.push(message);
        this.#repliesEnd += this.#wire.frame(message).length;
      }
    } catch {
      this.#isUnreadable = true;
    }
  }
}
