/**
 * A shell whose here-documents are pipes: seven at a time on its descriptors 3 to 9, with a line in each. It has them until
 * it is asked for the next seven or ended.
 *
 * Its input ends when this process does, however that is killed, and the helper with it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { SilenceClock } from './silence-clock';

/** What any POSIX shell can redirect by a single digit, and does not use itself. */
export const HELPER_FDS: readonly number[] = [3, 4, 5, 6, 7, 8, 9];
export const HELPER_LINE = 'x\n';

/** Only builtins: a helper that forks would pass its ends on. */
const SCRIPT = `while :; do
exec ${HELPER_FDS.map((fd) => `${fd}<<.`).join(' ')}
${HELPER_FDS.map(() => `${HELPER_LINE}.`).join('\n')}
echo
read -r _ || exit 0
done`;

/** What passes by itself: too many descriptors or processes, too little memory. */
const PASSING_CODES: readonly (string | undefined)[] = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'];

export function isPassing(error: unknown): boolean {
  return PASSING_CODES.includes((error as NodeJS.ErrnoException).code);
}

export interface PipeHelperEvents {
  /** Seven fresh pipes are there. */
  readonly onReady: (helper: PipeHelper) => void;
  /** Called at most once, later, and then nothing more: it is gone, or was too slow and is ended. */
  readonly onFailed: (helper: PipeHelper, reason: string, isLasting: boolean) => void;
}

export class PipeHelper {
  readonly #events: PipeHelperEvents;
  readonly #clock: SilenceClock;
  readonly #process: ChildProcess | undefined;
  #isOver = false;

  constructor(shell: string, timeoutMs: number, events: PipeHelperEvents) {
    this.#events = events;
    this.#clock = new SilenceClock(timeoutMs, () => this.#failed(`${shell} made no pipe in ${timeoutMs} ms`));
    const failed = (error: NodeJS.ErrnoException): void => this.#failed(error.message, !isPassing(error));
    try {
      // No environment: ours is not the helper's business, and some variables change what a shell does.
      // Typed so because a spawn that finds no descriptors leaves the streams out.
      const helper: ChildProcess = spawn(shell, ['-c', SCRIPT], {
        cwd: '/',
        env: {},
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      this.#process = helper;
      helper.on('error', failed);
      helper.once('exit', (code, signal) =>
        this.#failed(`${shell} ended with ${signal ?? code} before it made a pipe`),
      );
      helper.stdin?.on('error', () => undefined);
      helper.stdout?.on('error', () => undefined);
      helper.stdout?.on('data', () => this.#ready());
      this.#clock.start();
    } catch (error) {
      process.nextTick(failed, error);
    }
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Whether it is still our child: its number then means no other process. */
  get isAlive(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** The next seven are to be made in place of these. */
  next(): void {
    this.#clock.start();
    this.#process?.stdin?.write('\n');
  }

  /** At once, and with it its ends of the pipes. */
  end(): void {
    this.#isOver = true;
    this.#clock.stop();
    this.#process?.kill('SIGKILL');
    this.#process?.stdin?.destroy();
    this.#process?.stdout?.destroy();
  }

  #ready(): void {
    this.#clock.stop();
    if (!this.#isOver) this.#events.onReady(this);
  }

  #failed(reason: string, isLasting = false): void {
    if (this.#isOver) return;
    this.end();
    this.#events.onFailed(this, reason, isLasting);
  }
}
