/**
 * The one place that imports readable-stream, so that the run-time class and the declared class are named once.
 *
 * At run time the classes are readable-stream's (or node:stream's, when the user sets `READABLE_STREAM=disable`); the
 * checker and our published declarations see Node's own. `@types/readable-stream` lacks `_construct`, `signal` and the
 * optional error of `_destroy`, and would otherwise leak into the declarations of every user.
 */
import type * as node from 'node:stream';
import userland = require('readable-stream');

/**
 * Node's declarations make fields of these accessors, and a class may not override a field by an accessor nor reach it
 * by `super`. Of an interface it may.
 */
interface TransformWithAccessors extends node.Transform {
  readonly writableLength: number;
  readonly writableNeedDrain: boolean;
}

interface DuplexWithAccessors extends node.Duplex {
  readonly writableNeedDrain: boolean;
}

export const Duplex = userland.Duplex as unknown as new (options?: node.DuplexOptions) => DuplexWithAccessors;
export const Readable = userland.Readable as unknown as typeof node.Readable;
export const Transform = userland.Transform as unknown as new (
  options?: node.TransformOptions,
) => TransformWithAccessors;
export const addAbortSignal = (userland as unknown as Pick<typeof node, 'addAbortSignal'>).addAbortSignal;
