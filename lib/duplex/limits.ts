/** What may end a port from outside: an AbortSignal, and a deadline. */
import { onAbort } from '../abort';
import { AbortError, TimeoutError } from '../errors';
import type { PortDuplexSettings } from './port-duplex-options';

export class Limits {
  readonly #settings: PortDuplexSettings;
  readonly #onLimit: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;

  /** @param onLimit called with an AbortError or a TimeoutError */
  constructor(settings: PortDuplexSettings, onLimit: (error: Error) => void) {
    this.#settings = settings;
    this.#onLimit = onLimit;
  }

  /** Heeds the signal from now on; one that has already fired is heard at once. */
  listen(): void {
    const { signal } = this.#settings;
    if (signal?.aborted) this.#onLimit(new AbortError(signal));
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
