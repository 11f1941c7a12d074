/** What may end a port from outside: an AbortSignal, and a deadline. */
import { getMaxListeners, setMaxListeners } from 'node:events';
import { AbortError, TimeoutError } from '../errors';
import type { PortDuplexSettings } from './port-duplex-options';

export class Limits {
  readonly #settings: PortDuplexSettings;
  readonly #onLimit: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;

  /** @param onLimit called with an AbortError or a TimeoutError; at once where the signal has already fired */
  constructor(settings: PortDuplexSettings, onLimit: (error: Error) => void) {
    this.#settings = settings;
    this.#onLimit = onLimit;
    const { signal } = settings;
    if (signal?.aborted) onLimit(new AbortError(signal));
    else if (signal) this.#stopListening = onAbort(signal, () => this.#onLimit(new AbortError(signal)));
  }

  childSpawned(): void {
    const { timeoutMs, child } = this.#settings;
    if (timeoutMs === undefined) return;
    const error = (): Error => new TimeoutError({ command: child.command, timeoutMs, phase: 'run' });
    this.#timer = setTimeout(() => this.#onLimit(error()), timeoutMs).unref();
  }

  childExited(): void {
    clearTimeout(this.#timer);
  }

  release(): void {
    clearTimeout(this.#timer);
    this.#stopListening?.();
    this.#stopListening = undefined;
  }
}

/**
 * Node warns of a leak at eleven listeners on one signal, though a signal shared by many ports is none: its limit is
 * raised by one for as long as we listen.
 * @returns what takes the listener off again
 */
function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const limit = getMaxListeners(signal);
  if (limit > 0) setMaxListeners(limit + 1, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
    if (limit > 0) setMaxListeners(getMaxListeners(signal) - 1, signal);
  };
}
