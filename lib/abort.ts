import { getMaxListeners, setMaxListeners } from 'node:events';

/**
 * Calls back once when the signal fires. Node warns of a leak at eleven listeners on one signal, though a signal that
 * many share is none: its limit is raised by one for as long as we listen.
 * @returns what takes the listener off again
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const limit = getMaxListeners(signal);
  if (limit > 0) setMaxListeners(limit + 1, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
    if (limit > 0) setMaxListeners(getMaxListeners(signal) - 1, signal);
  };
}
