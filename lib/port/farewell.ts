/** The time between a closed pipe, mostly the first sign of a death, and the exit, which says how the child ended. */
import type { OpenedChild } from './open-child';

export interface FarewellEvents {
  /** The child closed a pipe: it serves no more. */
  begun(): void;
  /** It did not exit within the time. The dying close both pipes: one that closed its input alone is alive. */
  livesOn(hasClosedOutput: boolean): void;
}

export class Farewell {
  #hasClosedOutput = false;
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param ms how long a child is given: a busy system takes its time between closing the pipes of one and reaping it */
  constructor(port: OpenedChild, ms: number, events: FarewellEvents) {
    const expire = (): void => {
      // Where the event loop was blocked, the exit may lie there unseen: it is in the poll phase, which comes before this.
      setImmediate(() => {
        if (!this.#isOver) events.livesOn(this.#hasClosedOutput);
      });
    };
    const begin = (): void => {
      events.begun();
      if (!this.#isOver) this.#timer ??= setTimeout(expire, ms).unref();
    };
    port.once('inputclosed', begin);
    port.once('outputclosed', () => {
      this.#hasClosedOutput = true;
      begin();
    });
    port.once('exit', () => this.end());
  }

  /** It has exited, or is waited for no more. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}
