import { onAbort } from '../abort';
import { AbortError } from '../errors';
import type { Request } from './request';

/** One listener per signal, however many requests share it: Node warns of a leak at eleven. */
export class AbortWatch {
  readonly #watched = new Map<AbortSignal, { readonly requests: Set<Request>; readonly stop: () => void }>();

  add(signal: AbortSignal, request: Request): void {
    let entry = this.#watched.get(signal);
    if (entry === undefined) {
      entry = { requests: new Set(), stop: onAbort(signal, () => this.#abort(signal)) };
      this.#watched.set(signal, entry);
    }
    entry.requests.add(request);
  }

  delete(signal: AbortSignal, request: Request): void {
    const entry = this.#watched.get(signal);
    if (entry === undefined || !entry.requests.delete(request) || entry.requests.size > 0) return;
    entry.stop();
    this.#watched.delete(signal);
  }

  #abort(signal: AbortSignal): void {
    for (const request of [...(this.#watched.get(signal)?.requests ?? [])]) {
      request.giveUp('abort', new AbortError(signal));
    }
  }
}
