import { shown } from '../options';
import type { Codec } from './port-options';

/**
 * Requests and replies as JSON in UTF-8: `new Port<Row, Score>('worker', { ...json })`. What the types say of a reply is
 * believed; the program is to be trusted or the reply to be checked.
 */
export const json = {
  encode: (request: unknown): string => {
    const text = JSON.stringify(request) as string | undefined;
    if (text === undefined) throw new TypeError(`expected a request that JSON can say, got ${shown(request)}`);
    return text;
  },
  // The caller names the type, as with a generic class.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  decode: <Reply = unknown>(message: Buffer): Reply => JSON.parse(message.toString('utf8')) as Reply,
} satisfies Codec<unknown, unknown>;
