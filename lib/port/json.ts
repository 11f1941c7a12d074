import type { Codec } from './port-options';

/** Requests and replies as JSON in UTF-8: `new Port('worker', { ...json })`. */
export const json = {
  encode: (request: unknown): string => JSON.stringify(request),
  decode: (message: Buffer): unknown => JSON.parse(message.toString('utf8')),
} satisfies Codec<unknown, unknown>;
