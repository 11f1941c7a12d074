/** How many items may have been taken before the rest is moved to the front. */
const SLACK = 1024;

/**
 * First in, first out, in constant time. Array's own `shift` copies a long array each time; here what was taken is
 * dropped when it is at least half of all, so each item is moved once on average.
 */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#first];
  }

  shift(): T | undefined {
    const items = this.#items;
    if (this.#first === items.length) return undefined;
    const item = items[this.#first];
    items[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === items.length) {
      this.#items = [];
      this.#first = 0;
    } else if (this.#first >= SLACK && this.#first * 2 >= items.length) {
      this.#items = items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Puts items before all others, in their order. */
  putBack(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#first)];
    this.#first = 0;
  }

  takeAll(): T[] {
    const all = this.toArray();
    this.#items = [];
    this.#first = 0;
    return all;
  }

  /** Drops the items that `isWanted` refuses. */
  keep(isWanted: (item: T) => boolean): void {
    this.#items = this.toArray().filter(isWanted);
    this.#first = 0;
  }

  toArray(): T[] {
    return this.#items.slice(this.#first) as T[];
  }
}
