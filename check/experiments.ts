/** Why a program does not answer: each guess is tried on a fresh run of it, all at the same time. */
import { Conversation, type FixedFormat, type Program } from './conversation';
import { count, type Diagnosis } from './findings';

/** What was found out, and by what. */
export interface Discovery {
  readonly diagnosis: Diagnosis;
  /** What it did, as the end of a sentence that begins with what came at first. */
  readonly evidence: string;
}

type Experiment = (program: Program, request: Buffer, expected: Buffer | undefined) => Promise<Discovery | undefined>;

const MOST_MS = 2000;
const MOST_EXTRA_BYTES = 8;
const DRIP_MS = 50;

/** @returns the first that explains it, in the order of their certainty */
export async function whySilent(
  program: Program,
  request: Buffer,
  expected: Buffer | undefined,
): Promise<Discovery | undefined> {
  const brief = { ...program, timeoutMs: Math.min(program.timeoutMs, MOST_MS) };
  const others = ([1, 2, 4] as const).filter((packet) => packet !== program.packet);
  const experiments: Experiment[] = [
    ...(program.packet > 1
      ? [inFormat({ prefix: program.packet, endian: 'little' }, 'little-endian', 'a little-endian length')]
      : []),
    ...others.map((packet) => inFormat({ packet }, 'other-packet', `a length of ${count(packet, 'byte')}`)),
    inFormat(
      { prefix: program.packet, lengthIncludesPrefix: true },
      'length-counts-prefix',
      'a length that counts itself',
    ),
    withMoreBytes,
    asLine,
    atTheEnd,
  ];
  const found = await Promise.all(experiments.map((experiment) => experiment(brief, request, expected)));
  return found.find((discovery) => discovery !== undefined);
}

async function atTheEnd(...[program, request, expected]: Parameters<Experiment>): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.send(request);
  run.endInput();
  if (!(await run.awaitReplies(1)) || isOther(run.replies[0], expected)) return undefined;
  return { diagnosis: 'no-flush', evidence: 'the reply came when the input was ended' };
}

function inFormat(format: FixedFormat, diagnosis: Diagnosis, what: string): Experiment {
  return async (program, request, expected) => {
    await using run = new Conversation(program, format);
    run.send(request);
    if (!(await run.awaitReplies(1)) || isOther(run.replies[0], expected)) return undefined;
    return { diagnosis, evidence: `with ${what} it answers in the same way` };
  };
}

async function asLine(...[program, request]: Parameters<Experiment>): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.sendBytes(Buffer.concat([request, Buffer.from('\n')]));
  if (!(await run.awaitBytes(program.timeoutMs))) return undefined;
  return { diagnosis: 'line-based', evidence: 'to the message alone and a newline it answers' };
}

async function withMoreBytes(...[program, request]: Parameters<Experiment>): Promise<Discovery | undefined> {
  await using run = new Conversation(program);
  run.send(request);
  // Until it has come up nothing can be told from how long it waits.
  if (await run.awaitBytes(program.timeoutMs)) return undefined;
  for (let extra = 1; extra <= MOST_EXTRA_BYTES; extra++) {
    run.sendBytes(Buffer.alloc(1));
    if (!(await run.awaitBytes(DRIP_MS))) continue;
    return { diagnosis: 'reads-too-much', evidence: `it answered when ${count(extra, 'byte')} more came` };
  }
  return undefined;
}

function isOther(reply: Buffer | undefined, expected: Buffer | undefined): boolean {
  return reply === undefined || (expected !== undefined && !reply.equals(expected));
}
