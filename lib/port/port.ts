import type { Message } from '../framing/frame-writer';
import { BasePort } from './base-port';
import {
  checkPortOptions,
  checkPortPoolOptions,
  type NeededHooks,
  type PlainCommand,
  type PortOptions,
  type PortPoolOptions,
} from './port-options';

/**
 * A program kept warm behind `await port.request(message)`: monitored, and replaced when it dies.
 *
 * The program reads frames from its stdin and answers each with one frame on its stdout, in order, as the programs
 * behind Erlang's ports do. Nothing is started before the first request. An idle port does not keep this process alive,
 * a pending request does.
 *
 * A message of up to 16 KiB may be changed right after the call; a longer one must not be changed before its request is
 * settled. A reply is yours; it may be a view on a larger chunk.
 */
export class Port<Request = Message, Reply = Buffer, Event = never> extends BasePort<Request, Reply, Event> {
  /** @throws TypeError or RangeError for a wrong argument or option; what the system refuses fails the requests */
  constructor(
    command: string,
    args: readonly string[] | undefined,
    options: PortOptions<Request, Reply, Event> & NeededHooks<Request, Reply, Event>,
  );
  constructor(command: string, options: PortOptions<Request, Reply, Event> & NeededHooks<Request, Reply, Event>);
  constructor(
    command: PlainCommand<Request, Reply>,
    args?: readonly string[] | PortOptions<Request, Reply, Event>,
    options?: PortOptions<Request, Reply, Event>,
  );
  constructor(command: string, second?: unknown, third?: unknown) {
    super(checkPortOptions(command, second, third));
  }

  /**
   * Sends a message that is not answered: it keeps the order of the calls and takes no place in `maxInFlight`. Resolves
   * when the child has been given it; one that no child was given goes to the next, one that was is not repeated.
   *
   * Rejects as a request does.
   */
  send(message: Request): Promise<void> {
    return this.sendToChild(message);
  }
}

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
  constructor(
    command: PlainCommand<Request, Reply>,
    args?: readonly string[] | PortPoolOptions<Request, Reply, Event>,
    options?: PortPoolOptions<Request, Reply, Event>,
  );
  constructor(command: string, second?: unknown, third?: unknown) {
    super(checkPortPoolOptions(command, second, third));
  }
}
