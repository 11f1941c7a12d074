/**
 * The one place that imports readable-stream, so that the run-time class and the declared class are named once.
 *
 * At run time the methods are readable-stream's (or node:stream's, when the user sets `READABLE_STREAM=disable`); the
 * checker and our published declarations see Node's own. `@types/readable-stream` lacks `_construct`, `signal` and the
 * optional error of `_destroy`, and would otherwise leak into the declarations of every user.
 */
import { EventEmitter } from 'node:events';
import node = require('node:stream');
import userland = require('readable-stream');

/**
 * Node's declarations make fields of these accessors, and a class may not override a field by an accessor nor reach it
 * by `super`. Of an interface it may.
 */
export interface TransformWithAccessors extends node.Transform {
  readonly readableEncoding: BufferEncoding | null;
  readonly writableLength: number;
  readonly writableNeedDrain: boolean;
}

export interface DuplexWithAccessors extends node.Duplex {
  readonly writableNeedDrain: boolean;
}

interface StreamClass {
  readonly name: string;
  readonly prototype: object;
}

/** What is left of a constructor once the object and its `options` are there. */
type Initialise = (stream: StreamObject, options: StreamOptions) => void;
type StreamOptions = node.TransformOptions & Record<string, unknown>;
type StreamObject = EventEmitter & Record<string, unknown>;
type State = Record<string, unknown>;
type StateClass = new (options: StreamOptions, stream: StreamObject, isDuplex: boolean) => State;

const { ReadableState } = userland.Readable as unknown as Record<'ReadableState', StateClass>;
const { WritableState } = userland.Writable as unknown as Record<'WritableState', StateClass>;
const { _final: final } = userland.Transform.prototype as unknown as Record<'_final', (this: unknown) => void>;

/** The options that stand in for a method. */
const METHODS = ['read', 'write', 'writev', 'final', 'destroy', 'transform', 'flush'];

export const addAbortSignal = (userland as unknown as Pick<typeof node, 'addAbortSignal'>).addAbortSignal;
export const Readable = bridge(userland.Readable, node.Readable, readable) as typeof node.Readable;
export const Duplex = bridge(userland.Duplex, node.Duplex, duplex) as new (
  options?: node.DuplexOptions,
) => DuplexWithAccessors;
export const Transform = bridge(userland.Transform, node.Transform, transform) as new (
  options?: node.TransformOptions,
) => TransformWithAccessors;

/**
 * A class that works as `theirs` and that `instanceof` takes for `nodes`: many libraries ask in that way whether they
 * were given a stream. Only a new class is made; neither of the two is changed.
 *
 * readable-stream's own constructors refuse an object that does not inherit from them, so `initialise` does what they
 * do. (Letting them construct, and changing the prototype of the object afterwards, gives each object a hidden class of
 * its own in Node 20 and 22, and slows down all code that sees many of them.)
 */
function bridge(theirs: StreamClass, nodes: StreamClass, initialise: Initialise): unknown {
  if (theirs === nodes) return theirs;
  // No class: of one that extends another, only the other's constructor may make the object.
  function Stream(this: StreamObject, options: StreamOptions = {}): void {
    (EventEmitter as unknown as (this: StreamObject, options: StreamOptions) => void).call(this, options);
    // readable-stream lets a write that follows it overtake those before, hence none of ours has one.
    if (typeof this._construct === 'function') throw new TypeError('expected no `_construct` in a subclass, got one');
    initialise(this, options);
    for (const method of METHODS) if (typeof options[method] === 'function') this[`_${method}`] = options[method];
    if (options.signal) addAbortSignal(options.signal, this as unknown as node.Stream);
  }
  Object.setPrototypeOf(Stream, nodes);
  const prototype = Object.create(nodes.prototype, methodsOf(theirs, nodes)) as object;
  Object.defineProperties(Stream, { prototype: { value: prototype }, name: { value: nodes.name } });
  Object.defineProperty(prototype, 'constructor', { value: Stream, writable: true, configurable: true });
  return Stream;
}

function readable(stream: StreamObject, options: StreamOptions): void {
  stream._readableState = new ReadableState(options, stream, false);
}

function duplex(stream: StreamObject, options: StreamOptions): void {
  const readableState = new ReadableState(options, stream, true);
  const writableState = new WritableState(options, stream, true);
  stream._readableState = readableState;
  stream._writableState = writableState;
  stream.allowHalfOpen = options.allowHalfOpen !== false;
  if (options.readable === false) Object.assign(readableState, { readable: false, ended: true, endEmitted: true });
  if (options.writable === false) {
    Object.assign(writableState, { writable: false, ending: true, ended: true, finished: true });
  }
}

function transform(stream: StreamObject, options: StreamOptions): void {
  duplex(stream, options);
  // What is pushed before the first read may go straight to the listeners.
  (stream._readableState as State).sync = false;
  // A `_final` of a subclass does not have to end the readable side.
  stream.on('prefinish', () => {
    if (stream._final !== final) final.call(stream);
  });
}

function methodsOf(theirs: StreamClass, nodes: StreamClass): PropertyDescriptorMap {
  const methods: PropertyDescriptorMap = {};
  // What Node's class can do and theirs cannot would look for Node's own state in the object.
  for (const prototype of chain(nodes)) {
    for (const key of Reflect.ownKeys(prototype)) methods[key] = { value: undefined, writable: true };
  }
  for (const prototype of chain(theirs).reverse()) Object.assign(methods, Object.getOwnPropertyDescriptors(prototype));
  for (const key of Reflect.ownKeys(methods)) methods[key] = { ...methods[key], configurable: true };
  return methods;
}

/** From the class itself down to the stream that has only `pipe`; both sides have Node's EventEmitter below it. */
function chain({ prototype }: StreamClass): object[] {
  const prototypes: object[] = [];
  for (let at = prototype; at !== EventEmitter.prototype; at = Object.getPrototypeOf(at) as object) prototypes.push(at);
  return prototypes;
}
