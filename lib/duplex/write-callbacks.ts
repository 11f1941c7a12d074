/**
 * The callbacks that a user gave to `write` and `end`. Each is called once, at the latest when the port closes: a stream
 * that is destroyed forgets some. One that throws does not keep the stream from calling the others.
 */
import { callUser } from '../user-code';
import type { Callback } from './child-input';

export class WriteCallbacks {
  readonly #pending = new Set<Callback>();
  #failure: Error | undefined;

  /** What is to be given to the stream in place of the callback. */
  guard(callback: Callback): Callback {
    const once: Callback = (error) => {
      if (!this.#pending.delete(once)) return;
      callUser(callback, error);
    };
    this.#pending.add(once);
    // The stream, which may know better, has its turn first.
    if (this.#failure) setImmediate(once, this.#failure);
    return once;
  }

  /** The stream has refused the call by a throw, which says it all. */
  forget(once: Callback | undefined): void {
    if (once) this.#pending.delete(once);
  }

  /** The port is closed: calls all that are left, and those that come too late. */
  fail(error: Error): void {
    this.#failure = error;
    for (const once of [...this.#pending]) once(error);
  }
}

/** For callbacks of a port that was destroyed without an error; Node's own code for it. */
export function destroyedError(): Error {
  const sentence = 'the port was destroyed before its program had taken what was written';
  return Object.assign(new Error(sentence), { code: 'ERR_STREAM_DESTROYED' });
}
