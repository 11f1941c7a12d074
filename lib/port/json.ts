/** JSON, as messages of any framing, and JSON-RPC 2.0 (https://www.jsonrpc.org/specification). */
import { oneOf, refuseUnknown, shown } from '../options';
import type { Codec } from './port-options';
import { incoming, type Incoming, type PortChild, type Protocol } from './protocol';

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

/** A request or, as an event, a notification. The id is the port's business. */
export interface JsonRpcMessage {
  /** What is called, such as `tools/call`. */
  readonly method: string;
  /** An array or an object; absent where there are none. */
  readonly params?: unknown;
}

/** The error object of a reply, with its numbers: see section 5.1 of the specification. */
export class JsonRpcError extends Error {
  /** From -32768 to -32000 those that the specification reserves, else the program's own. */
  readonly code: number;
  /** What the program adds; undefined where it adds nothing. */
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.name = 'JsonRpcError';
    this.code = code;
    this.data = data;
  }
}

/** What `jsonRpc()` takes. All have a default. */
export interface JsonRpcOptions {
  /**
   * How progress and cancellation are said: as the Language Server Protocol does (`$/progress`, `$/cancelRequest`), or the
   * Model Context Protocol (`notifications/progress`, `notifications/cancelled`). With `'lsp'`, where the length of each
   * message is counted, one that is no JSON breaks the protocol; else it is a print between lines, and `unexpected`.
   * Default: neither is.
   */
  readonly dialect?: 'lsp' | 'mcp' | undefined;
  /**
   * Answers a call of the child: the result, or a promise of it; what is thrown becomes an error reply, with the code of
   * a JsonRpcError, else -32603, as does a result that JSON cannot say. Without it, each call is answered by -32601, method not found.
   */
  readonly onCall?: ((call: JsonRpcMessage, child: PortChild<JsonRpcMessage, unknown>) => unknown) | undefined;
}

const PARSE_ERROR = -32700;
const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;

/** Where each dialect puts its words. */
const DIALECTS = {
  lsp: {
    cancel: (id: number): JsonRpcMessage => ({ method: '$/cancelRequest', params: { id } }),
    token: (id: number) => ({ workDoneToken: id }),
    progressMethod: '$/progress',
    tokenOf: ({ token }: Params) => token,
    valueOf: ({ value }: Params) => value,
  },
  mcp: {
    cancel: (id: number): JsonRpcMessage => ({ method: 'notifications/cancelled', params: { requestId: id } }),
    token: (id: number) => ({ _meta: { progressToken: id } }),
    progressMethod: 'notifications/progress',
    tokenOf: ({ progressToken }: Params) => progressToken,
    valueOf: (params: Params) => params,
  },
} as const;

type Params = Readonly<Record<string, unknown>>;

/** What may come. */
interface Received {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly data?: unknown } | null;
}

/**
 * The protocol of programs that speak JSON-RPC 2.0, over `lines()` (MCP servers) or `contentLength()` (language servers).
 * Requests are `{ method, params }`, replies their results, events the child's notifications. An error reply rejects its
 * request with a JsonRpcError.
 * @throws TypeError or RangeError for a wrong option
 */
export function jsonRpc<Reply = unknown>(
  options: JsonRpcOptions = {},
): Protocol<JsonRpcMessage, Reply, JsonRpcMessage> {
  refuseUnknown('jsonRpc', options, ['dialect', 'onCall']);
  const { dialect, onCall } = options;
  if (dialect !== undefined) oneOf('dialect', dialect, ['lsp', 'mcp'] as const);
  if (onCall !== undefined && typeof onCall !== 'function') {
    throw new TypeError(`expected \`onCall\` to be a function, got ${shown(onCall)}`);
  }
  const words = dialect === undefined ? undefined : DIALECTS[dialect];

  const answer = async (
    id: unknown,
    call: JsonRpcMessage,
    child: PortChild<JsonRpcMessage, unknown>,
  ): Promise<string> => {
    try {
      if (onCall === undefined) throw new JsonRpcError(METHOD_NOT_FOUND, `method not found: ${call.method}`);
      const result: unknown = await onCall(call, child);
      return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${json.encode(result ?? null)}}`;
    } catch (thrown) {
      const { code, message, data } =
        thrown instanceof JsonRpcError ? thrown : new JsonRpcError(INTERNAL_ERROR, messageOf(thrown));
      return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, data } });
    }
  };

  const withToken = (params: unknown, id: number): unknown => {
    if (words === undefined) return params;
    const given = (params ?? {}) as Params;
    const token: Params = words.token(id);
    // MCP keeps other things beside the token.
    const { _meta: meta } = given as { readonly _meta?: Params };
    return '_meta' in token ? { ...given, _meta: { ...meta, ...(token._meta as Params) } } : { ...given, ...token };
  };

  const received = (message: Received, child: PortChild<JsonRpcMessage, unknown>): Incoming<Reply, JsonRpcMessage> => {
    const { id, method, params, result, error } = message;
    if (typeof method === 'string') {
      const call: JsonRpcMessage = params === undefined ? { method } : { method, params };
      if (id !== undefined) return incoming.call(() => answer(id, call, child));
      const token = method === words?.progressMethod ? words.tokenOf((params ?? {}) as Params) : undefined;
      // A token that is no number of ours was given by the user, or is the child's own.
      if (typeof token !== 'number' || words === undefined) return incoming.event(call);
      return incoming.progress(words.valueOf(params as Params), token);
    }
    if (error !== undefined && error !== null) {
      const code = typeof error.code === 'number' ? error.code : INTERNAL_ERROR;
      const refusal = new JsonRpcError(code, messageOf(error), error.data);
      if (typeof id === 'number') return incoming.error(refusal, id);
      // Whatever it could not read, it will read nothing else of ours. Other errors without an id answer notifications, which
      // some programs do though they must not: nobody waits for those.
      if (code === PARSE_ERROR) throw refusal;
    }
    if (typeof id !== 'number') return incoming.stray();
    if (result !== undefined) return incoming.reply(result as Reply, id);
    const text = JSON.stringify(message);
    return incoming.error(new TypeError(`expected a reply with a result or an error, got ${text}`), id);
  };

  return {
    encode({ method, params }, id, wantsProgress = false) {
      const sent = wantsProgress && id !== undefined ? withToken(params, id) : params;
      return JSON.stringify({ jsonrpc: '2.0', id, method, params: sent });
    },

    receive(message, child) {
      let parsed: unknown;
      try {
        parsed = JSON.parse(message.toString('utf8'));
      } catch (cause) {
        // Between lines a print is no more than that; where each body is counted, it is the child's mistake.
        if (dialect === 'lsp')
          throw new TypeError(`expected a message in JSON, got ${shown(String(message))}`, { cause });
        return incoming.stray();
      }
      if (Array.isArray(parsed)) {
        // We send none, so none may answer us; what it answers would wait without an end.
        throw new TypeError(`expected one message at a time, got an array of ${parsed.length}`);
      }
      if (typeof parsed !== 'object' || parsed === null) return incoming.stray();
      return received(parsed, child);
    },

    ...(words === undefined
      ? {}
      : { cancel: (id: number, child: PortChild<JsonRpcMessage, unknown>) => child.send(words.cancel(id)) }),
  };
}

function messageOf(thrown: unknown): string {
  const { message } = (thrown ?? {}) as { readonly message?: unknown };
  return typeof message === 'string' ? message : shown(thrown);
}
