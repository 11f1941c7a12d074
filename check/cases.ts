/** What a program is put through. Each case has a run of the program to itself. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Conversation, type Exchange, type Program, timingOf } from './conversation';
import { echo, ending, judge, patterned, type Suspicion } from './exchange';
import { whetherItIsElsewhere, whetherItSpeaksFirst, whetherItStays, whySilent } from './experiments';
import { count, finding, type Diagnosis, type Finding, shownBytes } from './findings';

/** What a case is done with. */
export interface Subject {
  readonly program: Program;
  /** Used in turn. */
  readonly exchanges: readonly Exchange[];
}

/** What came, in a few words, of a program that did well; or what was wrong. */
export type Outcome = string | Finding;

export interface Case {
  readonly name: string;
  /** Only an echo can be asked this. */
  readonly needsEcho?: true;
  /** When it fails the others would only fail with it. */
  readonly isFirst?: true;
  /** Why it makes no sense for this program. */
  readonly leftOut?: (program: Program) => string | undefined;
  readonly run: (subject: Subject) => Promise<Outcome>;
}

const KIB = 1024;
const BORDERS = [1, 127, 128, 255, 256, 4095, 4096, 4097, 8192, 32767, 32768, 65535, 65536, 65537, 131_072, 1024 * KIB];
const LARGE_MIB = 8;
/** How many of the longest silences it may take. */
const LARGE_SILENCES = 4;
/** What one reply does not tell enough about. */
const UNCLEAR: readonly Diagnosis[] = ['silent', 'short-read', 'wrong-reply'];

function take({ exchanges }: Subject, number: number): Exchange[] {
  return Array.from({ length: Math.ceil(number / exchanges.length) }, () => exchanges)
    .flat()
    .slice(0, number);
}

/** Sends, waits for as many replies, and judges them. */
async function exchange(
  { program }: Subject,
  exchanges: readonly Exchange[],
  sent: string,
  suspicion: Suspicion,
  send = (run: Conversation): unknown => run.send(...exchanges),
): Promise<Outcome> {
  await using run = new Conversation(program);
  await send(run);
  await run.awaitReplies(exchanges.length);
  const number = exchanges.length === 1 ? 'the reply' : `${exchanges.length} replies, in order`;
  return judge(program, run, exchanges, sent, suspicion) ?? number;
}

async function noMessage({ program }: Subject): Promise<Outcome> {
  await using run = new Conversation(program);
  run.endInput();
  const sent = 'no message, and the end of the input';
  // Whatever it prints, on and on, it has no longer than that.
  const status = await run.awaitExit(program.timeoutMs, program.timeoutMs);
  const came = [...(run.bytes.length > 0 ? [shownBytes(run.bytes)] : []), ...ending(run)].join(', then ') || 'nothing';
  if (run.bytes.length > 0) return finding(run.replies.length > 0 ? 'speaks-first' : 'print-on-stdout', sent, came);
  if (status === undefined) return finding('no-exit', sent, `no exit in ${program.timeoutMs} ms`);
  if (status.exitCode === 0) return 'no byte, exit code 0';
  if (await whetherItStays(program)) return finding('fails-at-end', sent, came);
  return finding((await whetherItIsElsewhere(program)) ? 'other-channel' : 'does-not-start', sent, came);
}

async function oneMessage(subject: Subject): Promise<Outcome> {
  const { program } = subject;
  const [first] = take(subject, 1) as [Exchange];
  const sent = shownBytes(program.wire.frame(first.request));
  await using run = new Conversation(program);
  run.send(first);
  await run.awaitReplies(1);
  // A message that is no reply may stand in front of the reply, or behind it.
  await run.awaitBytes(timingOf(program).extraMs);
  const verdict = judge(program, run, [first], sent, { missing: 'silent' });
  if (verdict === undefined) return 'the reply';
  const isBehindOther = run.replies.some((reply, n) => n > 0 && first.expected?.equals(reply) === true);
  if (isBehindOther && verdict.diagnosis !== 'extra-reply') {
    const found = await whetherItSpeaksFirst(program);
    const came = found === undefined ? verdict.came : `${verdict.came}; ${found.evidence}`;
    return finding(found?.diagnosis ?? 'stray-frame', sent, came);
  }
  // One that reads stdin, where nothing comes, leaves at once.
  const hasLeft = verdict.diagnosis === 'exits' && program.channel === 'fd3';
  if (!UNCLEAR.includes(verdict.diagnosis) && !hasLeft) return verdict;
  const came = run.bytes.length > 0 || hasLeft ? verdict.came : `nothing in ${program.timeoutMs} ms`;
  const found = await whySilent(program, first);
  if (found === undefined) return finding(verdict.diagnosis, sent, came);
  return finding(found.diagnosis, sent, `${came}; ${found.evidence}`);
}

async function oneAfterAnother(subject: Subject): Promise<Outcome> {
  const exchanges = take(subject, 5);
  const sent = '5 messages, each after the reply to the one before';
  const suspicion = { missing: 'stops-after-first', ended: 'stops-after-first' } as const;
  return exchange(subject, exchanges, sent, suspicion, async (run) => {
    for (const [n, one] of exchanges.entries()) {
      run.send(one);
      if (!(await run.awaitReplies(n + 1))) return;
    }
  });
}

async function byteByByte(subject: Subject): Promise<Outcome> {
  const { wire } = subject.program;
  const { dripMs, longDripMs } = timingOf(subject.program);
  const exchanges = take(subject, 2) as [Exchange, Exchange];
  const [first, second] = exchanges;
  const suspicion = { missing: 'short-read', ended: 'short-read', isSure: true } as const;
  return exchange(subject, exchanges, 'a message a byte at a time, after a whole one', suspicion, async (run) => {
    // A program that is still coming up would find all bytes together.
    run.send(first);
    await run.awaitReplies(1);
    run.expect(second);
    const frame = wire.frame(second.request);
    const header = frame.length - second.request.length;
    for (const [at, byte] of frame.entries()) {
      run.sendBytes(Buffer.of(byte));
      await delay(at === 0 || at === header ? longDripMs : dripMs);
    }
  });
}

async function inOneWrite(subject: Subject): Promise<Outcome> {
  const suspicion = { missing: 'one-read-one-message', ended: 'one-read-one-message', isSure: true } as const;
  return exchange(subject, take(subject, 20), '20 messages in one write', suspicion);
}

async function pipelined(subject: Subject): Promise<Outcome> {
  const exchanges = take(subject, 100);
  const sent = '100 messages, one write each, without waiting for replies';
  const suspicion = { missing: 'one-read-one-message', ended: 'one-read-one-message' } as const;
  return exchange(subject, exchanges, sent, suspicion, (run) => {
    for (const one of exchanges) run.send(one);
  });
}

async function emptyMessage(subject: Subject): Promise<Outcome> {
  const suspicion = { missing: 'empty-message', ended: 'empty-message', isSure: true } as const;
  return exchange(
    subject,
    [echo('before'), echo(''), echo('behind')],
    'an empty message between two others',
    suspicion,
  );
}

async function everyByte(subject: Subject): Promise<Outcome> {
  const every = patterned(Math.min(256, subject.program.wire.mostBytes), subject.program.wire);
  return exchange(subject, [echo(every)], 'a message with every value of a byte', { missing: 'text-mode' });
}

async function sizes(subject: Subject): Promise<Outcome> {
  const { program } = subject;
  await using run = new Conversation(program);
  const done: Exchange[] = [];
  const { lengthBytes = 0, mostBytes } = program.wire;
  const borders = BORDERS.filter((bytes) => bytes <= mostBytes);
  for (const bytes of borders) {
    const next = echo(patterned(bytes, program.wire));
    done.push(next);
    run.send(next);
    await run.awaitReplies(done.length);
    const isSignBit = bytes === 2 ** (8 * lengthBytes - 1);
    const missing = isSignBit ? 'signed-length' : 'size-limit';
    const sent = `a message of ${count(bytes, 'byte')}, after smaller ones`;
    const wrong = judge(program, run, done, sent, { missing, ended: missing });
    if (wrong !== undefined) return wrong;
  }
  return `replies of 1 to ${count(Math.max(...borders), 'byte')}`;
}

async function largeMessage(subject: Subject): Promise<Outcome> {
  const { program } = subject;
  await using run = new Conversation(program);
  const mebibytes = largeMib(program);
  const large = echo(patterned(mebibytes * KIB * KIB, program.wire));
  run.send(large);
  // While a program works on all that, no byte moves.
  await run.awaitReplies(1, LARGE_SILENCES * program.timeoutMs);
  const sent = `a message of ${mebibytes} MiB`;
  const verdict = judge(program, run, [large], sent, { missing: 'size-limit', ended: 'size-limit' });
  return verdict ?? `the reply${peakMemory(run.pid)}`;
}

function largeMib({ largeMib: mebibytes = LARGE_MIB }: Program): number {
  return mebibytes;
}

/** Where the system tells it. */
function peakMemory(pid: number | undefined): string {
  try {
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return peak === undefined ? '' : `; the program took ${Math.round(Number(peak) / KIB)} MiB of memory at most`;
  } catch {
    return '';
  }
}

async function endOfInput(subject: Subject): Promise<Outcome> {
  const { program } = subject;
  await using run = new Conversation(program);
  const exchanges = take(subject, 3);
  run.send(...exchanges);
  run.endInput();
  const sent = '3 messages, and right behind them the end of the input';
  const status = await run.awaitExit();
  const wrong = judge(program, run, exchanges, sent, { missing: 'drops-at-end', ended: 'drops-at-end' });
  if (wrong !== undefined) return wrong;
  if (status === undefined) return finding('no-exit', sent, `3 right replies, and no exit in ${program.timeoutMs} ms`);
  if (status.exitCode !== 0) return finding('fails-at-end', sent, `3 right replies, then ${ending(run).join()}`);
  return '3 replies, exit code 0';
}

/** It is there to be read, and to show that it harms nothing. */
async function noise(subject: Subject): Promise<Outcome> {
  const { program } = subject;
  await using run = new Conversation(program);
  const [one] = take(subject, 1) as [Exchange];
  run.send(one);
  await run.awaitReplies(1);
  run.endInput();
  await run.awaitExit();
  const lines = run.stderr.trim() === '' ? [] : run.stderr.trim().split('\n');
  return lines.length === 0 ? 'nothing' : `${count(lines.length, 'line')}, harmless there: ${lines[0]}`;
}

export const CASES: readonly Case[] = [
  { name: 'no message', run: noMessage },
  { name: 'one message', isFirst: true, run: oneMessage },
  { name: 'one after another', isFirst: true, run: oneAfterAnother },
  { name: 'a byte at a time', run: byteByByte },
  { name: 'many in one write', run: inOneWrite },
  { name: 'pipelined', run: pipelined },
  { name: 'an empty message', needsEcho: true, run: emptyMessage },
  {
    name: 'every byte',
    needsEcho: true,
    leftOut: ({ wire }) => (wire.isLines ? 'a line has no newline' : undefined),
    run: everyByte,
  },
  { name: 'sizes around the borders', needsEcho: true, run: sizes },
  {
    name: 'a large message',
    needsEcho: true,
    leftOut: (program) =>
      program.wire.mostBytes < largeMib(program) * KIB * KIB ? `${program.wire.name} has none` : undefined,
    run: largeMessage,
  },
  { name: 'the end of the input', run: endOfInput },
  { name: 'on stderr', run: noise },
];
