/**
 * Ends the child of a worker thread when that thread is gone. No hook of ours runs when a worker is terminated, nor when the
 * process leaves by `process.exit()` or a signal of which only the main thread is told. So a small shell beside each child
 * holds a pipe of ours: when that closes, it ends the child. It also holds the child's inputs open meanwhile, so that the
 * child does not take the end of the thread for the end of its input.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import { isMainThread } from 'node:worker_threads';

/** The same time as the exit hook gives. */
const SCRIPT = `
trap '' INT TERM HUP
while read -r word input; do
  case $word in
    ended) eval "exec $input>&-" ;;
    gone) exit 0 ;;
  esac
done
kill -s "$1" -- "$2"
sleep 0.1
kill -s KILL -- "$2"
`;

/** The numbers that the shell has them at are digits: it cannot close others. */
const FIRST_INPUT = 3;
const MOST_INPUTS = 7;

interface Watched {
  /** Negative: of a group. */
  readonly target: number;
  readonly killSignal: NodeJS.Signals;
  /** Its stdin first, where that is a pipe. */
  readonly inputs: readonly Writable[];
}

/** @returns what is to be called when the child is gone; undefined on the main thread, where the exit hook does it */
export function watchFromOutside({ target, killSignal, inputs }: Watched): (() => void) | undefined {
  if (isMainThread || process.platform === 'win32') return undefined;
  const args = ['-c', SCRIPT, 'rexport', killSignal.slice(3), String(target)];
  const held = inputs.slice(0, MOST_INPUTS);
  let shell: ChildProcess;
  try {
    shell = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore', ...held] });
  } catch {
    return undefined;
  }
  const control = shell.stdin;
  // Without a shell, or without a descriptor for it, the child has nobody outside: the promise does not hold there.
  shell.on('error', () => undefined);
  control?.on('error', () => undefined);
  shell.unref();
  (control as { unref?(): void } | null)?.unref?.();
  for (const [index, input] of held.entries()) {
    const inputEnded = (): void => void control?.write(`ended ${FIRST_INPUT + index}\n`);
    input.once('finish', inputEnded);
    input.once('close', inputEnded);
  }
  return () => control?.end('gone\n');
}
