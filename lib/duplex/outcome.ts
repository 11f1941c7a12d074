/** Decides whether a child's end was a success, and if not, which error it is and when it is raised. */
import type { Duplex } from 'node:stream';
import { ExitError, InputClosedError } from '../errors';
import { isSuccess, type ExitStatus } from '../process/exit-status';
import type { StderrTail } from '../process/stderr-tail';
import type { ChildInput } from './child-input';
import type { ChildOutput } from './child-output';
import type { PortDuplexSettings } from './port-duplex-options';

/** @returns undefined for a success, else what makes the error */
export function judge(
  status: ExitStatus,
  settings: PortDuplexSettings,
  { isClosed, bytesDropped }: ChildInput,
  stderr: StderrTail,
): (() => Error) | undefined {
  const { command } = settings.child;
  const isInputError = isClosed && settings.onInputClosed === 'error';
  const inputError = isInputError ? () => new InputClosedError({ command, bytesDropped }) : undefined;
  if (isSuccess(status, settings.successCodes)) return inputError;
  return () => new ExitError({ command, ...status, stderrTail: stderr.text(), cause: inputError?.() });
}

/**
 * Whether a failure is raised now: not before the last words are there, and who reads gets every byte first, since
 * `destroy` throws away what is buffered.
 */
export function isDue(port: Duplex, hasBeenRead: boolean, output: ChildOutput, stderr: StderrTail): boolean {
  if (!stderr.isDone) return false;
  const hasReader = hasBeenRead || port.listenerCount('data') + port.listenerCount('readable') > 0;
  return !hasReader || (output.isDone && port.readableLength === 0);
}
