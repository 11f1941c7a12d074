/** Rows and replies as messages of the server: frames of `{packet, 4}`, one or more to a message. */
import { FrameParser } from '../framing/frame-parser';
import { FrameWriter, type Message } from '../framing/frame-writer';
import { headers, type MsgHdrs } from './peers';

const PREFIX_BYTES = 4;
/** A message's headers, with room for what the server and a long job name add. */
export const HEADER_BYTES = 1024;

const ROW = 'Rexport-Row';
const RUN = 'Rexport-Run';
const TRIED = 'Rexport-Tried';
/** On a message without replies: its rows are at this place of the stream of rows now, under the id of this message. */
const MOVED = 'Rexport-Moved';
/** On a note about a row. */
const ALONE = 'Rexport-Alone';
/** By which the server knows a double. */
const ID = 'Nats-Msg-Id';

const REPLY = Buffer.from([0]);
const ERROR = Buffer.from([1]);

/** Where a message belongs. */
export interface Label {
  /** Number of its first row. */
  readonly first: number;
  /** Of the job that was begun anew since its last good end; what another run left is nobody's. */
  readonly run: string;
  readonly id: string;
  /** How often a row was tried before, as part of another message; on a note, how often it failed. */
  readonly tried?: number | undefined;
  /** Where its worker can be asked, of a row that runs alone. */
  readonly aloneAt?: string | undefined;
  /** Where its rows are now. */
  readonly movedTo?: number | undefined;
}

export type RowResult =
  | { readonly kind: 'reply'; readonly reply: Uint8Array }
  | { readonly kind: 'dead'; readonly code: string; readonly reason: string; readonly deliveries: number };

export function labelled({ first, run, id, tried, aloneAt, movedTo }: Label): MsgHdrs {
  const made = headers();
  made.set(ROW, String(first));
  made.set(RUN, run);
  made.set(ID, id);
  if (tried !== undefined) made.set(TRIED, String(tried));
  if (aloneAt !== undefined) made.set(ALONE, aloneAt);
  if (movedTo !== undefined) made.set(MOVED, String(movedTo));
  return made;
}

/** @returns undefined for a message that no PortQueue has made */
export function labelOf(given: MsgHdrs | undefined): Label | undefined {
  if (!given?.has(ROW)) return undefined;
  const first = Number(given.get(ROW));
  const tried = Number(given.get(TRIED) || 0);
  if (!Number.isSafeInteger(first) || first < 0 || !Number.isSafeInteger(tried)) return undefined;
  const movedTo = given.has(MOVED) ? Number(given.get(MOVED)) : undefined;
  const aloneAt = given.has(ALONE) ? given.get(ALONE) : undefined;
  return { first, run: given.get(RUN), id: given.get(ID), tried, aloneAt, movedTo };
}

export function idOf(run: string, first: number, rows: number): string {
  return `${run}:${first}:${rows}`;
}

/** What a row takes of a message. */
export function framedBytes(row: Uint8Array): number {
  return PREFIX_BYTES + row.length;
}

export function framed(messages: Iterable<Message>): Buffer {
  const writer = new FrameWriter();
  for (const message of messages) writer.write(message);
  return joined(writer.take());
}

/** @throws FrameTruncatedError, MessageTooLargeError for bytes that are no frames */
export function unframed(data: Uint8Array): Buffer[] {
  const parser = new FrameParser();
  parser.write(data);
  const messages: Buffer[] = [];
  for (let message = parser.next(); message !== undefined; message = parser.next()) messages.push(message);
  parser.end();
  return messages;
}

/** A result with its first byte, which says what it is. */
export function packed(result: RowResult): Buffer {
  if (result.kind === 'reply') return Buffer.concat([REPLY, result.reply]);
  const { code, reason, deliveries } = result;
  return Buffer.concat([ERROR, Buffer.from(JSON.stringify({ code, message: reason, deliveries }))]);
}

/** @throws Error for what no worker has sent */
export function unpacked(frame: Buffer): RowResult {
  const rest = frame.subarray(1);
  if (frame[0] === REPLY[0]) return { kind: 'reply', reply: rest };
  if (frame[0] !== ERROR[0]) throw new Error(`expected a reply to begin with byte 0 or 1, got ${frame[0] ?? 'none'}`);
  const { code, message, deliveries } = JSON.parse(String(rest)) as {
    code: string;
    message: string;
    deliveries: number;
  };
  return { kind: 'dead', code, reason: message, deliveries };
}

function joined(chunks: Buffer[]): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}
