/** One run of the program under check: what is sent to it, and all that can be seen of it. */
import { encodeFrame, type ExitStatus, type FrameFormat, FrameParser, PortDuplex, RexPortError } from '../lib/index';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly packet: 1 | 2 | 4;
  /** The longest silence that is borne, in milliseconds. */
  readonly timeoutMs: number;
}

/** Those whose lengths all have as many bytes. */
export type FixedFormat = FrameFormat & { readonly prefix?: 1 | 2 | 3 | 4 | 8 };

/** The program could not be started: nothing was checked. */
export class NotStartedError extends Error {}

const STEP_MS = 50;

export class Conversation {
  /** What came in whole frames. */
  readonly replies: Buffer[] = [];
  /** How it ended; undefined while it runs. */
  status: ExitStatus | undefined;
  stderr = '';

  readonly #program: Program;
  readonly #format: FixedFormat;
  readonly #prefixBytes: number;
  readonly #port: PortDuplex;
  readonly #parser: FrameParser;
  readonly #chunks: Buffer[] = [];
  /** Where the replies so far end. */
  #repliesEnd = 0;
  #isUnreadable = false;
  /** No byte comes any more. */
  #isOver = false;
  #notStarted: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(program: Program, format: FixedFormat = { packet: program.packet }) {
    this.#program = program;
    this.#format = format;
    this.#prefixBytes = format.packet ?? format.prefix ?? 4;
    this.#parser = new FrameParser({ ...format, copy: true });
    const port = new PortDuplex(program.command, program.args, { forceKillAfterMs: 1000 });
    this.#port = port;
    port.stderr?.on('data', (chunk: Buffer) => (this.stderr = (this.stderr + String(chunk)).slice(-4096)));
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
    return this.bytes.subarray(this.#repliesEnd);
  }

  get pid(): number | undefined {
    return this.#port.pid;
  }

  sendBytes(bytes: Buffer): void {
    this.#port.write(bytes);
  }

  send(...messages: readonly Buffer[]): void {
    this.sendBytes(Buffer.concat(messages.map((message) => encodeFrame(message, this.#format))));
  }

  endInput(): void {
    this.#port.end();
  }

  /** Waits for so many replies in all; no longer when no more can come, or nothing has moved for so long. */
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
  async awaitExit(): Promise<ExitStatus | undefined> {
    await this.#await(() => false);
    return this.#isOver ? this.status : undefined;
  }

  /** Ends the program and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port[Symbol.asyncDispose]();
  }

  get #bytesRead(): number {
    return this.#port.bytesRead ?? 0;
  }

  /** Silence is counted in steps, not by the clock: where this process is held up, the program is not to blame. */
  async #await(isThere: () => boolean, silenceMs = this.#program.timeoutMs): Promise<void> {
    const stepMs = Math.min(silenceMs, STEP_MS);
    let moved = -1;
    let silentMs = 0;
    while (!isThere() && !this.#isOver && silentMs < silenceMs) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, stepMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      const now = this.#bytesRead + (this.#port.bytesWritten ?? 0);
      silentMs = now === moved ? silentMs + stepMs : 0;
      moved = now;
    }
    if (this.#notStarted !== undefined) throw new NotStartedError(this.#notStarted.message);
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    if (!this.#isUnreadable) {
      try {
        this.#parser.write(chunk);
        for (let message = this.#parser.next(); message !== undefined; message = this.#parser.next()) {
          this.replies.push(message);
          this.#repliesEnd += this.#prefixBytes + message.length;
        }
      } catch {
        this.#isUnreadable = true;
      }
    }
    this.#wake?.();
  }
}
