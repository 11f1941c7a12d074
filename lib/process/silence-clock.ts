/**
 * Says when nothing has come for a while, although we were listening.
 *
 * A blocked event loop lets a timer run out before the bytes that wait in the kernel were looked at. So after the timer
 * one more turn of the poll phase passes before the silence is believed.
 */
export class SilenceClock {
  readonly #ms: number;
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(ms: number, onSilence: () => void) {
    this.#ms = ms;
    this.#onSilence = onSilence;
  }

  /** Starts to count, from the beginning where it already runs. */
  start(): void {
    clearImmediate(this.#immediate);
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#expire(), this.#ms).unref();
    else this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
  }

  #expire(): void {
    this.#immediate = setImmediate(() => {
      this.stop();
      this.#onSilence();
    });
  }
}
