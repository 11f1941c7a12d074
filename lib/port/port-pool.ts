import type { Message } from '../framing/frame-writer';
import { BasePort } from './base-port';
import { checkPortPoolOptions, type NeededHooks, type PlainCommand, type PortPoolOptions } from './port-options';

/**
 * The same program in several children behind one queue: a Port that uses every core.
 *
 * A request goes to the child that has the fewest, and where all have some another is started, up to `size`. The death of
 * one hurts those requests only that it was given. Children are replaced by plan one after another, never all at once.
 *
 * A message of up to 16 KiB may be changed right after the call; a longer one must not be changed before its request is
 * settled. A reply is yours; it may be a view on a larger chunk.
 */
export class PortPool<Request = Message, Reply = Buffer, Event = never> extends BasePort<Request, Reply, Event> {
  /** @throws TypeError or RangeError for a wrong argument or option; what the system refuses fails the requests */
  constructor(
    command: string,
    args: readonly string[] | undefined,
    options: PortPoolOptions<Request, Reply, Event> & NeededHooks<Request, Reply, Event>,
  );
  constructor(command: string, options: PortPoolOptions<Request, Reply, Event> & NeededHooks<Request, Reply, Event>);
  constructor(command: PlainCommand<Request, Reply>, args?: readonly string[]);
  constructor(command: string, second?: unknown, third?: unknown) {
    super(checkPortPoolOptions(command, second, third));
  }
}
