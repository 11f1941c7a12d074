import type { Message } from '../framing/frame-writer';
import { BasePort } from './base-port';
import { checkPortOptions, type PortOptions } from './port-options';

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
export class Port<Request = Message, Reply = Buffer> extends BasePort<Request, Reply> {
  /** @throws TypeError or RangeError for a wrong argument or option; what the system refuses fails the requests */
  constructor(command: string, args?: readonly string[], options?: PortOptions<Request, Reply>);
  constructor(command: string, options?: PortOptions<Request, Reply>);
  constructor(
    command: string,
    second?: readonly string[] | PortOptions<Request, Reply>,
    third?: PortOptions<Request, Reply>,
  ) {
    const { settings, encode } = checkPortOptions<Request>(command, second, third);
    super(settings, encode);
  }
}
