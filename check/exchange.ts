/** Requests and the replies that they should have, and the verdict on those that came. */
import type { Conversation, Exchange, Program } from './conversation';
import { count, finding, type Diagnosis, type Finding, shownBytes } from './findings';
import { read } from './reading';
import type { Wire } from './wire';

/** The bytes that a line has for certain. */
const FIRST_PRINTABLE = 33;
const PRINTABLES = 94;

export function echo(message: Buffer | string): Exchange {
  const request = Buffer.from(message);
  return { request, expected: request };
}

/** A message of this many bytes, all values in it that it may have, that tells where its bytes belong. */
export function patterned(bytes: number, { isLines }: Pick<Wire, 'isLines'>): Buffer {
  const message = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at++) {
    const value = at + (at >>> 8) + (at >>> 16);
    message[at] = isLines ? FIRST_PRINTABLE + (value % PRINTABLES) : value;
  }
  return message;
}

/** What is amiss, unless the bytes themselves say more. */
export interface Suspicion {
  /** No reply came, or not all. */
  readonly missing: Diagnosis;
  /** The program ended. */
  readonly ended?: Diagnosis;
  /** Where the bytes would have a say, this has it in any case. */
  readonly isSure?: boolean;
}

/** @returns undefined when each request has its reply, and nothing else came */
export function judge(
  { wire }: Program,
  run: Conversation,
  exchanges: readonly Exchange[],
  sent: string,
  { missing, ended = 'exits', isSure = false }: Suspicion,
): Finding | undefined {
  const { replies } = run;
  const wrong = exchanges.findIndex(
    ({ expected }, n) => replies[n] === undefined || (expected !== undefined && !replies[n].equals(expected)),
  );
  const isAllRight = wrong === -1;
  if (isAllRight && replies.length === exchanges.length && run.rest.length === 0) return undefined;
  const good = isAllRight ? exchanges.length : wrong;
  const before = replies.slice(0, good).reduce((sum, reply) => sum + wire.frame(reply).length, 0);
  const bytes = run.bytes.subarray(before);
  const came = [
    ...(good > 0 ? [count(good, 'right reply', 'right replies')] : []),
    ...(bytes.length > 0 || run.status === undefined ? [shownBytes(bytes)] : []),
    ...ending(run),
  ].join(', then ');
  const isPrint = !wire.isLines && isTextual(bytes);
  if (isAllRight) return finding(isPrint ? 'print-on-stdout' : 'extra-reply', sent, came);
  const isOutOfOrder = isPermutation(replies, exchanges);
  const expected = exchanges[wrong]?.expected;
  const told = isOutOfOrder
    ? 'out-of-order'
    : expected === undefined
      ? isPrint
        ? 'print-on-stdout'
        : undefined
      : read(bytes, expected, wire);
  const guess = run.status === undefined ? missing : ended;
  const isTold = told !== undefined && (!isSure || told === 'print-on-stdout' || told === 'out-of-order');
  return finding(isTold ? told : guess, sent, came);
}

/** How the program ended, with its last words, in a list; empty while it runs and says what it should. */
export function ending({ status, stderr, isFlooding }: Conversation): string[] {
  if (isFlooding) return ['more without end'];
  if (status === undefined) return [];
  const said = stderr.trim().split('\n').at(-1) ?? '';
  const how = status.signal === null ? `exit code ${status.exitCode}` : `an end by ${status.signal}`;
  return [said === '' ? how : `${how}, and on stderr: ${said}`];
}

function isTextual(bytes: Buffer): boolean {
  return /^[\t\n\r -~]{3}/.test(bytes.toString('latin1', 0, 3));
}

function isPermutation(replies: readonly Buffer[], exchanges: readonly Exchange[]): boolean {
  if (replies.length < exchanges.length || exchanges.length < 2) return false;
  const sorted = (buffers: readonly (Buffer | undefined)[]): string =>
    buffers
      .map((buffer) => buffer?.toString('base64'))
      .sort()
      .join();
  return sorted(replies) === sorted(exchanges.map(({ expected }) => expected));
}
