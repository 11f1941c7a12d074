/** How many items may have been taken before the rest is moved to the front. */
const SLACK = 1024;

/**
 * First in, first out, in constant time. Array's own `shift` copies a long array each time; here what was taken is
 * dropped when it is at least half of all, so each item is moved once on average. One that is empty keeps its memory:
 * most of them are filled and emptied item by item.
 */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#first;
  }

  push(item: T): void {
    this.#items[this.#end] = item;
    this.#end += 1;
  }

  peek(): T | undefined {
    return this.#first === this.#end ? undefined : this.#items[this.#first];
  }

  shift(): T | undefined {
    if (this.#first === this.#end) return undefined;
    const items = this.#items;
    const item = items[this.#first];
    items[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#end) {
      if (items.length > SLACK) this.#items = [];
      this.#first = 0;
      this.#end = 0;
    } else if (this.#first >= SLACK && this.#first * 2 >= this.#end) {
      this.#hold(this.toArray());
    }
    return item;
  }

  /** Puts items before all others, in their order. */
  putBack(items: readonly T[]): void {
    this.#hold([...items, ...this.toArray()]);
  }

  takeAll(): T[] {
    const all = this.toArray();
    this.#hold([]);
    return all;
  }

  /** Drops the items that `isWanted` refuses. */
  keep(isWanted: (item: T) => boolean): void {
    this.#hold(this.toArray().filter(isWanted));
  }

  toArray(): T[] {
    return this.#items.slice(this.#first, this.#end) as T[];
  }

  #hold(items: T[]): void {
    this.#items = items;
    this.#first = 0;
    this.#end = items.length;
  }
}
