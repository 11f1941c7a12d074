/** Why a program does not answer: each guess is tried on a fresh run of it, all at the same time. */
import type { FrameFormat } from '../lib/index';
import { Conversation, type Exchange, type Program, timingOf } from './conversation';
import { count, type Diagnosis, shownBytes } from './findings';
import { formatOf, type Length, lengthOf, lengthPrefixed } from './wire';

/** What was found out, and by what. */
export interface Discovery {
  readonly diagnosis: Diagnosis;
  /** What it did, as the end of a sentence that begins with what came at first. */
  readonly evidence: string;
}

type Experiment = (program: Program, exchange: Exchange) => Promise<Discovery | undefined>;

const MOST_EXTRA_BYTES = 8;

/** @returns the first that explains it, in the order of their certainty */
export async function whySilent(program: Program, exchange: Exchange): Promise<Discovery | undefined> {
  const experiments: Experiment[] =
    program.wire.format === undefined
      ? [unasked, withLength, ...(program.wire.isLines ? [] : [asLine]), atTheEnd]
      : [unasked, ...inOtherLengths(program.wire.format), withMoreBytes, asLine, atTheEnd];
  if (hasOthers) experiments.push(elsewhere);
  const found = await Promise.all(experiments.map((experiment) => experiment(brief(program), exchange)));
  return found.find((discovery) => discovery !== undefined);
}

/** Whether the program says something before anything was sent to it. */
export function whetherItSpeaksFirst(program: Program): Promise<Discovery | undefined> {
  return unasked(brief(program));
}

/** Whether the program ends by itself, its input open and nothing sent. */
export async function whetherItStays(program: Program): Promise<boolean> {
  await using run = new Conversation(program);
  const { experimentMs } = timingOf(program);
  return (await run.awaitExit(Math.min(program.timeoutMs, experimentMs))) === undefined;
}

/** Whether it stays where messages come on other descriptors, though it does not stay here. */
export async function whetherItIsElsewhere(program: Program): Promise<boolean> {
  return hasOthers && (await whetherItStays(onOther(program)));
}

/** Whether this system can give a program other descriptors. */
const hasOthers = process.platform !== 'win32';

function onOther(program: Program): Program {
  return { ...program, channel: program.channel === 'fd3' ? 'stdio' : 'fd3' };
}

function brief(program: Program): Program {
  return { ...program, timeoutMs: Math.min(program.timeoutMs, timingOf(program).experimentMs) };
}

async function unasked(program: Program): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  await run.awaitReplies(1);
  if (run.bytes.length === 0) return undefined;
  const evidence = `before anything was sent it says ${shownBytes(run.bytes)}`;
  return { diagnosis: run.replies.length > 0 ? 'speaks-first' : 'print-on-stdout', evidence };
}

/** The likeliest mistakes first. */
function inOtherLengths(format: FrameFormat): Experiment[] {
  const length = lengthOf(format);
  const { prefix, endian, lengthIncludesPrefix } = length;
  const otherEndian = endian === 'big' ? 'little' : 'big';
  const others = ([1, 2, 4, 'varint'] as const).filter((width) => width !== prefix);
  const plain = { endian: 'big', lengthIncludesPrefix: false } as const;
  return [
    ...(prefix === 1 || prefix === 'varint'
      ? []
      : [inLength({ ...length, endian: otherEndian }, `${otherEndian}-endian`, `a ${otherEndian}-endian length`)]),
    ...others.map((width) =>
      inLength(
        { ...plain, prefix: width },
        'other-packet',
        width === 'varint' ? 'a varint length' : `a length of ${count(width, 'byte')}`,
      ),
    ),
    ...(prefix === 'varint'
      ? []
      : [
          lengthIncludesPrefix
            ? inLength(
                { ...length, lengthIncludesPrefix: false },
                'length-counts-message-only',
                'a length of the message alone',
              )
            : inLength(
                { ...length, lengthIncludesPrefix: true },
                'length-counts-prefix',
                'a length that counts itself',
              ),
        ]),
  ];
}

/** The framing that is not asked for with --framing. */
const withLength = inLength(lengthOf({}), 'length-prefixed', 'a length of 4 bytes');

function inLength(length: Length, diagnosis: Diagnosis, what: string): Experiment {
  return async (program, exchange) => {
    const wire = lengthPrefixed(formatOf(length));
    if (exchange.request.length > wire.mostBytes) return undefined;
    await using run = new Conversation(program, wire);
    run.send(exchange);
    if (!(await run.awaitReplies(1)) || isOther(run.replies[0], exchange)) return undefined;
    return { diagnosis, evidence: `with ${what} it answers in the same way` };
  };
}

async function atTheEnd(program: Program, exchange: Exchange): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.send(exchange);
  run.endInput();
  if (!(await run.awaitReplies(1)) || isOther(run.replies[0], exchange)) return undefined;
  return { diagnosis: 'no-flush', evidence: 'the reply came when the input was ended' };
}

async function elsewhere(program: Program, exchange: Exchange): Promise<Discovery | undefined> {
  await using run = new Conversation(onOther(program));
  run.send(exchange);
  if (!(await run.awaitReplies(1)) || isOther(run.replies[0], exchange)) return undefined;
  const where = program.channel === 'fd3' ? 'stdin and stdout' : 'descriptors 3 and 4';
  return { diagnosis: 'other-channel', evidence: `on ${where} it answers` };
}

async function asLine(program: Program, exchange: Exchange): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.expect(exchange);
  run.sendBytes(Buffer.concat([exchange.request, Buffer.from('\n')]));
  if (!(await run.awaitBytes(program.timeoutMs))) return undefined;
  return { diagnosis: 'line-based', evidence: 'to the message alone and a newline it answers' };
}

async function withMoreBytes(program: Program, exchange: Exchange): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.send(exchange);
  // Until it has come up nothing can be told from how long it waits.
  if (await run.awaitBytes(program.timeoutMs)) return undefined;
  for (let extra = 1; extra <= MOST_EXTRA_BYTES; extra++) {
    run.sendBytes(Buffer.alloc(1));
    if (!(await run.awaitBytes(timingOf(program).extraMs))) continue;
    return { diagnosis: 'reads-too-much', evidence: `it answered when ${count(extra, 'byte')} more came` };
  }
  return undefined;
}

function isOther(reply: Buffer | undefined, { expected }: Exchange): boolean {
  return reply === undefined || (expected !== undefined && !reply.equals(expected));
}
