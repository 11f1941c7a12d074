import { getMaxListeners, setMaxListeners } from 'node:events';

/** How far we have raised the limit of each signal that we listen to. */
const raisedTo = new WeakMap<AbortSignal, number>();

/**
 * Calls back once when the signal fires. Node warns of a leak at eleven listeners on one signal, though a signal that
 * many share is none: its limit is raised by one while we listen. A polyfilled signal, which has no such limit,
 * will do.
 * @returns what takes the listener off again
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const limit = limitOf(signal);
  if (limit > 0) raise(signal, limit + 1);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
    // A limit that somebody has set in the meantime is his own.
    const raised = raisedTo.get(signal);
    if (limit > 0 && raised !== undefined && limitOf(signal) === raised) raise(signal, raised - 1);
  };
}

/** One listener for each signal, however many share it: Node warns of a leak at eleven. */
export class AbortGroup<T> {
  readonly #onAbort: (items: T[], signal: AbortSignal) => void;
  readonly #watched = new Map<AbortSignal, Watched<T>>();
  /** Of the last that was added or deleted: mostly it is the one that is asked for next. */
  #last: Watched<T> | undefined;

  /** @param listener called with all that wait for the signal that has fired */
  constructor(listener: (items: T[], signal: AbortSignal) => void) {
    this.#onAbort = listener;
  }

  add(signal: AbortSignal, item: T): void {
    let entry = this.#find(signal);
    if (entry === undefined) {
      const items = new Set<T>();
      entry = { signal, items, stop: onAbort(signal, () => this.#onAbort([...items], signal)) };
      this.#watched.set(signal, entry);
    }
    this.#last = entry;
    entry.items.add(item);
  }

  delete(signal: AbortSignal, item: T): void {
    const entry = this.#find(signal);
    if (entry === undefined || !entry.items.delete(item) || entry.items.size > 0) return;
    entry.stop();
    this.#watched.delete(signal);
    this.#last = undefined;
  }

  #find(signal: AbortSignal): Watched<T> | undefined {
    return this.#last?.signal === signal ? this.#last : this.#watched.get(signal);
  }
}

interface Watched<T> {
  readonly signal: AbortSignal;
  readonly items: Set<T>;
  readonly stop: () => void;
}

function raise(signal: AbortSignal, limit: number): void {
  setMaxListeners(limit, signal);
  raisedTo.set(signal, limit);
}

/** 0: there is none, as from Node 22 on; Node 20 refuses to tell that one. */
function limitOf(signal: AbortSignal): number {
  try {
    return getMaxListeners(signal);
  } catch {
    return 0;
  }
}
