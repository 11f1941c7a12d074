/** Listeners, hooks and callbacks of the user's may throw. What is ours goes on; what was thrown reaches the process. */
import type { EventEmitter } from 'node:events';

export function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Calls what the user gave; what it throws is thrown where nothing of ours is left half done. */
export function callUser<Arguments extends unknown[]>(callback: (...values: Arguments) => void, ...values: Arguments) {
  try {
    callback(...values);
  } catch (error) {
    throwLater(error);
  }
}

/** The class, with an `emit` from which nothing is thrown: what a listener throws is its own, and disturbs nobody of ours. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as a class that extends a parameter must be typed
export function guardListeners<Class extends new (...args: any[]) => EventEmitter>(base: Class): Class {
  return class extends base {
    override emit(event: string | symbol, ...args: unknown[]): boolean {
      try {
        return super.emit(event, ...args);
      } catch (thrown) {
        throwLater(thrown);
        return true;
      }
    }
  };
}
