/** The command line of `rexport`. */
import { parseArgs } from 'node:util';
import { check, type Row } from './check';
import { NotStartedError, type Program } from './conversation';
import type { Exchange } from './exchange';
import { heading, lines, summary } from './report';

export const USAGE = `usage: rexport check [options] -- command [args]

Runs a program through the port protocol: a length, then a message, both ways. The program is taken for an echo, unless
pairs of --request and --expect are given.

  --packet 1|2|4    bytes of the length (4)
  --request TEXT    a request, as text, or as bytes: hex:00ff10; may be repeated
  --expect TEXT     the reply to the request at the same place; with none at all any reply will do
  --timeout MS      the longest silence that is borne (5000)
  --json            the result as JSON

Exit code: 0 when the program conforms, 1 when it does not, 2 when nothing could be checked.
`;

/** Where the lines go. */
export interface Console {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

class UsageError extends Error {}

interface Order {
  readonly program: Program;
  readonly pairs: readonly Exchange[] | undefined;
  readonly isJson: boolean;
}

/** @returns the exit code */
export async function main(args: readonly string[], { out, err }: Console): Promise<0 | 1 | 2> {
  try {
    const order = parse(args);
    if (order === undefined) {
      out(USAGE);
      return 0;
    }
    const { program, pairs, isJson } = order;
    if (!isJson) out(heading(program));
    const onRow = (row: Row): void => {
      if (!isJson) out(lines(row));
    };
    const rows = await check(program, pairs === undefined ? { onRow } : { pairs, onRow });
    const conforms = rows.every(({ result }) => result !== 'failed');
    const { command, packet } = program;
    out(isJson ? JSON.stringify({ command, packet, conforms, cases: rows }, undefined, 2) : summary(rows));
    return conforms ? 0 : 1;
  } catch (error) {
    if (error instanceof UsageError) err(`rexport: ${error.message}\n\n${USAGE}`);
    else if (error instanceof NotStartedError) err(`rexport: ${error.message}`);
    else throw error;
    return 2;
  }
}

/** @returns undefined where help is asked for */
function parse(args: readonly string[]): Order | undefined {
  const border = args.indexOf('--');
  const own = border === -1 ? args : args.slice(0, border);
  const { values, positionals } = parsed(own);
  if (values.help === true) return undefined;
  if (positionals.join(' ') !== 'check') {
    throw new UsageError(`expected \`check\`, got ${positionals.join(' ') || 'nothing'}`);
  }
  const [command, ...rest] = border === -1 ? [] : args.slice(border + 1);
  if (command === undefined || command === '') throw new UsageError('expected a command behind `--`, got none');
  const packet = Number(values.packet ?? 4);
  if (packet !== 1 && packet !== 2 && packet !== 4) {
    throw new UsageError(`expected --packet to be 1, 2 or 4, got ${values.packet}`);
  }
  const timeoutMs = Number(values.timeout ?? 5000);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) {
    throw new UsageError(`expected --timeout to be an integer from 1 to ${2 ** 31 - 1}, got ${values.timeout}`);
  }
  const program = { command, args: rest, packet, timeoutMs } as const;
  return { program, pairs: pairsOf(values.request, values.expect, packet), isJson: values.json === true };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        packet: { type: 'string' },
        request: { type: 'string', multiple: true },
        expect: { type: 'string', multiple: true },
        timeout: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function pairsOf(
  requests: readonly string[] = [],
  replies: readonly string[] = [],
  packet: 1 | 2 | 4,
): readonly Exchange[] | undefined {
  if (replies.length > 0 && replies.length !== requests.length) {
    throw new UsageError(`expected as many --expect as --request, got ${replies.length} and ${requests.length}`);
  }
  if (requests.length === 0) return undefined;
  const bytes = (text: string): Buffer => bytesOf(text, 256 ** packet - 1);
  return requests.map((request, n) => {
    const reply = replies[n];
    return { request: bytes(request), expected: reply === undefined ? undefined : bytes(reply) };
  });
}

function bytesOf(text: string, mostBytes: number): Buffer {
  const hex = /^hex:(.*)$/s.exec(text)?.[1];
  if (hex !== undefined && !/^([\da-f]{2})*$/i.test(hex)) {
    throw new UsageError(`expected pairs of hexadecimal digits behind hex:, got ${hex}`);
  }
  const bytes = hex === undefined ? Buffer.from(text) : Buffer.from(hex, 'hex');
  if (bytes.length <= mostBytes) return bytes;
  throw new UsageError(`expected messages of at most ${mostBytes} bytes, got one of ${bytes.length}`);
}
