/**
 * Streams of objects whose readers, listeners and writers know their types, where Node declares `any`. Declarations
 * alone: at run time they are a Readable and a Duplex.
 *
 * Each method is declared twice. `pipeline` and `pipe` ask for a NodeJS.ReadWriteStream, whose chunks are strings and
 * bytes. The first declaration, which nobody can call, is for them; the second is for callers. (In this order, since
 * inference looks at the last one.)
 */
import type node from 'node:stream';
import type { DuplexWithAccessors } from './streams';

export interface StreamEvents<Chunk> {
  close: [];
  data: [chunk: Chunk];
  drain: [];
  end: [];
  error: [error: Error];
  finish: [];
  pause: [];
  pipe: [source: node.Readable];
  readable: [];
  resume: [];
  unpipe: [source: node.Readable];
}

type Name = keyof StreamEvents<unknown>;
type Listener<Chunk, Event extends Name> = (...args: StreamEvents<Chunk>[Event]) => void;
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Node declares it, for events that we do not know
type AnyListener = (...args: any[]) => void;
/** A listener that takes another chunk would otherwise be taken as one of an event that we do not know. */
type Other<Event> = Event extends 'data' ? never : Event;
type Callback = (error?: Error | null) => void;

interface OperatorOptions {
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
type Signal = Pick<OperatorOptions, 'signal'>;
/** What an operator calls for each chunk. */
type Visit<Chunk, Result> = (chunk: Chunk, options?: Signal) => Result | Promise<Result>;

/**
 * An iterator that passes for one of strings and bytes, and gives nothing. A loop looks at all declarations of an iterator
 * together; this one adds nothing to the others, since nobody can call its `then`.
 */
interface NoIterator {
  next(): NoResult;
  [Symbol.asyncIterator](): NoIterator;
}

interface NoResult extends Omit<Promise<never>, 'then'> {
  then(this: never): never;
}

/** A Readable of such chunks; its operators (`map`, `filter`, `toArray` ...) pass their types on. */
export interface ReadableOf<Chunk> extends node.Readable {
  read(this: never, size?: number): never;
  read(size?: number): Chunk | null;
  iterator(options?: { destroyOnReturn?: boolean }): NodeJS.AsyncIterator<Chunk, undefined>;
  [Symbol.asyncIterator](this: never): NoIterator;
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Chunk, undefined>;

  map<Result>(fn: Visit<Chunk, Result>, options?: OperatorOptions): ReadableOf<Result>;
  filter<Kept extends Chunk>(
    fn: (chunk: Chunk, options?: Signal) => chunk is Kept,
    options?: OperatorOptions,
  ): ReadableOf<Kept>;
  filter(fn: Visit<Chunk, boolean>, options?: OperatorOptions): ReadableOf<Chunk>;
  flatMap<Result>(
    fn: Visit<Chunk, Iterable<Result> | AsyncIterable<Result>>,
    options?: OperatorOptions,
  ): ReadableOf<Result>;
  drop(limit: number, options?: Signal): ReadableOf<Chunk>;
  take(limit: number, options?: Signal): ReadableOf<Chunk>;
  toArray(options?: Signal): Promise<Chunk[]>;
  forEach(fn: Visit<Chunk, void>, options?: OperatorOptions): Promise<void>;
  some(fn: Visit<Chunk, boolean>, options?: OperatorOptions): Promise<boolean>;
  every(fn: Visit<Chunk, boolean>, options?: OperatorOptions): Promise<boolean>;
  find<Found extends Chunk>(
    fn: (chunk: Chunk, options?: Signal) => chunk is Found,
    options?: OperatorOptions,
  ): Promise<Found | undefined>;
  find(fn: Visit<Chunk, boolean>, options?: OperatorOptions): Promise<Chunk | undefined>;
  reduce(
    fn: (previous: Chunk, chunk: Chunk, options?: Signal) => Chunk | Promise<Chunk>,
    initial?: undefined,
    options?: Signal,
  ): Promise<Chunk>;
  reduce<Result>(
    fn: (previous: Result, chunk: Chunk, options?: Signal) => Result | Promise<Result>,
    initial: Result,
    options?: Signal,
  ): Promise<Result>;

  on<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  on<Event extends string | symbol>(event: Other<Event>, listener: AnyListener): this;
  once<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  once<Event extends string | symbol>(event: Other<Event>, listener: AnyListener): this;
  addListener<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  addListener<Event extends string | symbol>(event: Other<Event>, listener: AnyListener): this;
  prependListener<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  prependListener<Event extends string | symbol>(event: Other<Event>, listener: AnyListener): this;
  prependOnceListener<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  prependOnceListener<Event extends string | symbol>(event: Other<Event>, listener: AnyListener): this;
  off<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  off(event: string | symbol, listener: AnyListener): this;
  removeListener<Event extends Name>(event: Event, listener: Listener<Chunk, Event>): this;
  removeListener(event: string | symbol, listener: AnyListener): this;
}

type WritableHalf = Pick<DuplexWithAccessors, Exclude<keyof DuplexWithAccessors, keyof node.Readable>>;

/** A Duplex that is written chunks of one type, and read chunks of another. */
export interface DuplexOf<Written, Chunk> extends ReadableOf<Chunk>, WritableHalf {
  write(this: never, ...args: never[]): never;
  write(chunk: Written, callback?: Callback): boolean;
  write(chunk: Written, encoding: BufferEncoding | undefined, callback?: Callback): boolean;
  end(this: never, ...args: never[]): never;
  end(callback?: () => void): this;
  end(chunk: Written, callback?: () => void): this;
  end(chunk: Written, encoding: BufferEncoding | undefined, callback?: () => void): this;
  setDefaultEncoding(encoding: BufferEncoding): this;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Node declares it; a subclass knows better
  _write(chunk: any, encoding: BufferEncoding, callback: Callback): void;
  _final(callback: Callback): void;
}
