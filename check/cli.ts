/** The command line of `rexport`. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { FrameFormat } from '../lib/index';
import { check, type Row } from './check';
import { type Exchange, NotStartedError, type Program } from './conversation';
import { heading, lines, summary } from './report';
import { headerFramed, lengthPrefixed, lineFramed, type Wire } from './wire';

export const USAGE = `usage: rexport check [options] -- command [args]

Runs a program through the port protocol: a length, then a message, both ways. The program is taken for an echo, unless
pairs of --request and --expect are given.

  --packet 1|2|4             bytes of the length (4)
  --prefix 1|2|3|4|8|varint  bytes of a length that is not Erlang's, instead of --packet
  --endian big|little        the byte order of a --prefix (big)
  --length-includes-prefix   the length of a --prefix counts its own bytes too
  --framing lines            each message is a line, instead of a length and a message
  --framing content-length   each message has a Content-Length header, as with language servers
  --channel fd3              the program reads messages on descriptor 3 and writes replies on 4, not on 0 and 1
  --request TEXT             a request, as text, or as bytes: hex:00ff10; may be repeated
  --expect TEXT              the reply to the request at the same place; with none at all any reply will do
  --timeout MS               the longest silence that is waited for (5000)
  --json                     the result as JSON
  --version                  the version of rexport
  --help                     this

Exit code: 0 when the program conforms, 1 when it does not, 2 when nothing could be checked.

The other command: rexport serve --help
`;

const OPTIONS = {
  packet: { type: 'string' },
  prefix: { type: 'string' },
  endian: { type: 'string' },
  'length-includes-prefix': { type: 'boolean' },
  framing: { type: 'string' },
  channel: { type: 'string' },
  request: { type: 'string', multiple: true },
  expect: { type: 'string', multiple: true },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

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

type Values = ReturnType<typeof parsed>['values'];

/** @returns the exit code */
export async function main(args: readonly string[], { out, err }: Console): Promise<0 | 1 | 2> {
  try {
    const order = parse(args);
    if (typeof order === 'string') {
      out(order);
      return 0;
    }
    const { program, pairs, isJson } = order;
    if (!isJson) out(heading(program));
    const onRow = (row: Row): void => {
      if (!isJson) out(lines(row));
    };
    const rows = await check(program, pairs === undefined ? { onRow } : { pairs, onRow });
    const conforms = rows.every(({ result }) => result !== 'failed');
    out(isJson ? asJson(program, conforms, rows) : summary(rows));
    return conforms ? 0 : 1;
  } catch (error) {
    if (error instanceof UsageError) err(`rexport: ${error.message}\n\`rexport --help\` shows the usage`);
    else if (error instanceof NotStartedError) err(`rexport: ${error.message}`);
    else throw error;
    return 2;
  }
}

function asJson({ command, wire, channel }: Program, conforms: boolean, rows: readonly Row[]): string {
  const { packet } = wire.format ?? {};
  const width = packet === undefined ? {} : { packet };
  const where = channel === 'fd3' ? { channel } : {};
  return JSON.stringify({ command, framing: wire.name, ...width, ...where, conforms, cases: rows }, undefined, 2);
}

/** @returns a text where only that is asked for */
function parse(args: readonly string[]): Order | string {
  const border = args.indexOf('--');
  const own = border === -1 ? args : args.slice(0, border);
  if (border === -1) refuseWithoutBorder(args);
  const { values, positionals } = parsed(own);
  if (values.help === true) return USAGE;
  if (values.version === true) return version();
  if (positionals.join(' ') !== 'check') {
    throw new UsageError(`expected \`check\`, got ${positionals.join(' ') || 'nothing'}`);
  }
  const [command, ...rest] = border === -1 ? [] : args.slice(border + 1);
  if (command === undefined || command === '') throw new UsageError('expected a command behind `--`, got none');
  const timeoutMs = Number(values.timeout ?? 5000);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) {
    throw new UsageError(`expected --timeout to be an integer from 1 to ${2 ** 31 - 1}, got ${values.timeout}`);
  }
  const wire = wireOf(values);
  const channel = among('channel', values.channel ?? 'stdio', ['stdio', 'fd3'] as const);
  if (channel === 'fd3' && process.platform === 'win32') throw new UsageError('expected no --channel fd3 on Windows');
  return {
    program: { command, args: rest, wire, channel, timeoutMs },
    pairs: pairsOf(values.request, values.expect, wire),
    isJson: values.json === true,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** What stands behind `check` and is no option of ours is the command: without `--` its options would be taken for ours. */
function refuseWithoutBorder(args: readonly string[]): void {
  const { tokens } = parseArgs({
    args: [...args],
    allowPositionals: true,
    strict: false,
    tokens: true,
    options: OPTIONS,
  });
  const [first, command] = tokens.filter(({ kind }) => kind === 'positional');
  if (first === undefined || command === undefined || args[first.index] !== 'check') return;
  const words = [...args.slice(0, command.index), '--', ...args.slice(command.index)];
  throw new UsageError(`expected \`--\` in front of the command: rexport ${words.map(quoted).join(' ')}`);
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Of the package that this is a part of. */
function version(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json');
    if (!existsSync(file)) continue;
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
}

function wireOf(values: Values): Wire {
  const { packet, prefix, endian } = values;
  const includes = values['length-includes-prefix'];
  if (values.framing !== undefined) {
    const kind = among('framing', values.framing, ['lines', 'content-length'] as const);
    const beside = (['packet', 'prefix', 'endian', 'length-includes-prefix'] as const).find(
      (name) => values[name] !== undefined,
    );
    if (beside !== undefined) throw new UsageError(`expected --framing without --${beside}, got both`);
    return kind === 'lines' ? lineFramed() : headerFramed();
  }
  if (packet !== undefined && prefix !== undefined) throw new UsageError('expected --packet or --prefix, got both');
  if ((endian !== undefined || includes === true) && (prefix === undefined || prefix === 'varint')) {
    const name = endian === undefined ? '--length-includes-prefix' : '--endian';
    throw new UsageError(`expected ${name} only together with a --prefix of a fixed number of bytes`);
  }
  if (prefix === undefined)
    return lengthPrefixed({ packet: Number(among('packet', packet ?? '4', ['1', '2', '4'])) as 4 });
  const width = among('prefix', prefix, ['1', '2', '3', '4', '8', 'varint']);
  const format: FrameFormat =
    width === 'varint'
      ? { prefix: 'varint' }
      : {
          prefix: Number(width) as 4,
          endian: among('endian', endian ?? 'big', ['big', 'little'] as const),
          lengthIncludesPrefix: includes === true,
        };
  return lengthPrefixed(format);
}

function among<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  const list = `${allowed.slice(0, -1).join(', ')} or ${allowed.at(-1)}`;
  throw new UsageError(`expected --${name} to be ${list}, got ${value}`);
}

function pairsOf(
  requests: readonly string[] = [],
  replies: readonly string[] = [],
  wire: Wire,
): readonly Exchange[] | undefined {
  if (replies.length > 0 && replies.length !== requests.length) {
    throw new UsageError(`expected as many --expect as --request, got ${replies.length} and ${requests.length}`);
  }
  if (requests.length === 0) return undefined;
  return requests.map((request, n) => {
    const reply = replies[n];
    return {
      request: bytesOf(request, wire),
      expected: reply === undefined ? undefined : bytesOf(reply, wire),
    };
  });
}

function bytesOf(text: string, { isLines, mostBytes }: Wire): Buffer {
  const hex = /^hex:(.*)$/s.exec(text)?.[1];
  if (hex !== undefined && !/^([\da-f]{2})*$/i.test(hex)) {
    throw new UsageError(`expected pairs of hexadecimal digits behind hex:, got ${hex}`);
  }
  const bytes = hex === undefined ? Buffer.from(text) : Buffer.from(hex, 'hex');
  if (isLines && bytes.includes('\n')) throw new UsageError('expected a line without a newline in it, got one with it');
  if (bytes.length <= mostBytes) return bytes;
  throw new UsageError(`expected messages of at most ${mostBytes} bytes, got one of ${bytes.length}`);
}
