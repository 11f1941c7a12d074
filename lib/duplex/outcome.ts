/** Decides whether a child's end was a success, and if not, which error it is and when it is raised. */
import type { Duplex } from 'node:stream';
import { ExitError, InputClosedError } from '../errors';
import { isSuccess, type ExitStatus } from '../process/exit-status';
import type { StderrTail } from '../process/stderr-tail';
import type { Callback, ChildInput } from './child-input';
import type { ChildOutput } from './child-output';
import type { Limits } from './limits';
import type { PortDuplexSettings } from './port-duplex-options';

/** All that has a say in it. */
interface Judged {
  readonly port: Duplex;
  readonly settings: PortDuplexSettings;
  readonly input: ChildInput;
  readonly output: ChildOutput;
  readonly stderr: StderrTail;
  readonly limits: Limits;
}

export class Outcome {
  /** Resolves when there is no child any more, or never will be. */
  readonly exited: Promise<ExitStatus>;
  /** How the child ended, once it is known whether its reader had left before. */
  status: ExitStatus | undefined;
  /**
   * `reading`: somebody has asked for bytes, and so gets all of them before a failure. `left`: the reader takes no more and
   * the child was told to stop, so whatever status it ends with is nobody's business, as in a shell.
   */
  reader: 'none' | 'reading' | 'left' = 'none';

  readonly #port: Duplex;
  readonly #settings: PortDuplexSettings;
  readonly #input: ChildInput;
  readonly #output: ChildOutput;
  readonly #stderr: StderrTail;
  readonly #limits: Limits;
  #resolveExited!: (status: ExitStatus) => void;
  #acknowledgeFinal: Callback | undefined;

  constructor({ port, settings, input, output, stderr, limits }: Judged) {
    this.#port = port;
    this.#settings = settings;
    this.#input = input;
    this.#output = output;
    this.#stderr = stderr;
    this.#limits = limits;
    this.exited = new Promise((resolve) => (this.#resolveExited = resolve));
  }

  ended(status: ExitStatus): void {
    this.status = status;
    this.#resolveExited(status);
  }

  /** @param acknowledge called once: the child has taken its input, and ended with a success */
  final(acknowledge: Callback): void {
    this.#acknowledgeFinal = acknowledge;
    this.settle();
  }

  /** To be called after everything that may have made the decision due. */
  settle(): void {
    if (this.status === undefined || this.#port.destroyed) return;
    const failure = this.reader === 'left' ? undefined : this.#judge(this.status);
    if (failure !== undefined) {
      if (this.#isDue()) this.#port.destroy(failure());
      return;
    }
    const isAllRead = this.#output.isDone && this.#port.readableLength === 0;
    if (isAllRead) this.#limits.release();
    this.#acknowledge();
    if (this.#output.isDone) this.#port.push(null);
  }

  /** The port is destroyed: no success will come. */
  cut(error: Error): void {
    this.#acknowledge(error);
  }

  #acknowledge(error?: Error): void {
    const callback = this.#acknowledgeFinal;
    this.#acknowledgeFinal = undefined;
    callback?.(error);
  }

  /** @returns undefined for a success, else what makes the error */
  #judge(status: ExitStatus): (() => Error) | undefined {
    const { command } = this.#settings.child;
    const { isClosed, bytesDropped } = this.#input;
    const isInputError = isClosed && this.#settings.onInputClosed === 'error';
    const inputError = isInputError ? () => new InputClosedError({ command, bytesDropped }) : undefined;
    if (isSuccess(status, this.#settings.successCodes)) return inputError;
    return () => new ExitError({ command, ...status, stderrTail: this.#stderr.text(), cause: inputError?.() });
  }

  /**
   * Whether a failure is raised now: not before the last words are there, and a reader gets every byte first, since
   * `destroy` throws away what is buffered.
   */
  #isDue(): boolean {
    const port = this.#port;
    if (!this.#stderr.isDone) return false;
    const hasReader = this.reader === 'reading' || port.listenerCount('data') + port.listenerCount('readable') > 0;
    return !hasReader || (this.#output.isDone && port.readableLength === 0);
  }
}
