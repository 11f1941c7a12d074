/** Bytes to the children of one lane and from them, of those that are gone too. */
interface Counters {
  readonly bytesWritten: number;
  readonly bytesRead: number;
}

export class Traffic implements Counters {
  readonly #open = new Set<Counters>();
  #goneWritten = 0;
  #goneRead = 0;

  get bytesWritten(): number {
    return [...this.#open].reduce((sum, { bytesWritten }) => sum + bytesWritten, this.#goneWritten);
  }

  get bytesRead(): number {
    return [...this.#open].reduce((sum, { bytesRead }) => sum + bytesRead, this.#goneRead);
  }

  opened(session: Counters): void {
    this.#open.add(session);
  }

  closed(session: Counters): void {
    if (!this.#open.delete(session)) return;
    this.#goneWritten += session.bytesWritten;
    this.#goneRead += session.bytesRead;
  }
}
