/** What may end a port from outside: an AbortSignal, and a deadline. */
import { onAbort } from '../abort';
import { AbortError, TimeoutError } from '../errors';
import type { PortDuplexSettings } from './port-duplex-options';

export class Limits {
  readonly #settings: PortDuplexSettings;
  readonly #onLimit: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;

  /** @param onLimit called with an AbortError or a TimeoutError, never before the caller has put up his listeners */
  constructor(settings: PortDuplexSettings, onLimit: (error: Error) => void) {
    this.#settings = settings;
    this.#onLimit = onLimit;
    const { signal } = settings;
    if (signal?.aborted) process.nextTick(onLimit, new AbortError(signal));
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
