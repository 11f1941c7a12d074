import { inspect } from 'node:util';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import fc from 'fast-check';
import {
  AbortError,
  ExitError,
  InputClosedError,
  RexPortError,
  SpawnError,
  TimeoutError,
  type ExitFacts,
  type TimeoutPhase,
} from '../lib/errors';
import type {
  BadLengthError,
  FrameTruncatedError,
  InvalidMessageError,
  MessageTooLargeError,
} from '../lib/framing/framing-errors';
import type {
  BrokenError,
  ClosedError,
  PoisonError,
  QueueFullError,
  UnexpectedReplyError,
} from '../lib/port/port-errors';

const failed: ExitFacts = { command: 'gzip', exitCode: 3, signal: null, durationMs: 12.4, stderrTail: '' };

describe('errors: the base', () => {
  const all = [
    new SpawnError({ command: 'gzip', cwd: undefined, culprit: 'no', cause: new Error('ENOENT') }),
    new ExitError(failed),
    new TimeoutError({ command: 'gzip', timeoutMs: 10, phase: 'run' }),
    new InputClosedError({ command: 'gzip', bytesDropped: 1 }),
  ];

  it('is an Error of one class, with the name of its own', () => {
    for (const error of all) expect(error).to.be.instanceOf(RexPortError).and.instanceOf(Error);
    expect(all.map((error) => error.name)).to.deep.equal([
      'SpawnError',
      'ExitError',
      'TimeoutError',
      'InputClosedError',
    ]);
  });

  it('has a code that stays', () => {
    expect(all.map((error) => error.code)).to.deep.equal([
      'ERR_REXPORT_SPAWN',
      'ERR_REXPORT_EXIT',
      'ERR_REXPORT_TIMEOUT',
      'ERR_REXPORT_INPUT_CLOSED',
    ]);
  });

  it('has its code as a literal type, so that a switch narrows', () => {
    expectTypeOf<BadLengthError['code']>().toEqualTypeOf<'ERR_REXPORT_BAD_LENGTH'>();
    expectTypeOf<BrokenError['code']>().toEqualTypeOf<'ERR_REXPORT_BROKEN'>();
    expectTypeOf<ClosedError['code']>().toEqualTypeOf<'ERR_REXPORT_CLOSED'>();
    expectTypeOf<ExitError['code']>().toEqualTypeOf<'ERR_REXPORT_EXIT'>();
    expectTypeOf<FrameTruncatedError['code']>().toEqualTypeOf<'ERR_REXPORT_FRAME_TRUNCATED'>();
    expectTypeOf<InputClosedError['code']>().toEqualTypeOf<'ERR_REXPORT_INPUT_CLOSED'>();
    expectTypeOf<InvalidMessageError['code']>().toEqualTypeOf<'ERR_REXPORT_INVALID_MESSAGE'>();
    expectTypeOf<MessageTooLargeError['code']>().toEqualTypeOf<'ERR_REXPORT_MESSAGE_TOO_LARGE'>();
    expectTypeOf<PoisonError['code']>().toEqualTypeOf<'ERR_REXPORT_POISON'>();
    expectTypeOf<QueueFullError['code']>().toEqualTypeOf<'ERR_REXPORT_QUEUE_FULL'>();
    expectTypeOf<SpawnError['code']>().toEqualTypeOf<'ERR_REXPORT_SPAWN'>();
    expectTypeOf<TimeoutError['code']>().toEqualTypeOf<'ERR_REXPORT_TIMEOUT'>();
    expectTypeOf<UnexpectedReplyError['code']>().toEqualTypeOf<'ERR_REXPORT_UNEXPECTED_REPLY'>();
    expectTypeOf<AbortError['code']>().toEqualTypeOf<'ABORT_ERR'>();

    const told = (error: ExitError | TimeoutError | MessageTooLargeError): number | string | null => {
      switch (error.code) {
        case 'ERR_REXPORT_EXIT':
          return error.exitCode;
        case 'ERR_REXPORT_TIMEOUT':
          return error.phase;
        case 'ERR_REXPORT_MESSAGE_TOO_LARGE':
          return error.messageBytes;
      }
    };
    expect(told(new ExitError(failed))).to.equal(3);
  });

  it('begins its stack with name and message, as a log shows it', () => {
    expect(new ExitError(failed).stack).to.match(/^ExitError: gzip exited with code 3 after 12 ms\n {4}at /);
  });
});

describe('SpawnError', () => {
  it('says what could not be spawned and what is to blame, and keeps the facts', () => {
    const cause = new Error('spawn gzip ENOENT');
    const error = new SpawnError({ command: 'gzip', cwd: '/tmp', culprit: 'there is none (ENOENT)', cause });
    expect(error.message).to.equal('could not spawn gzip: there is none (ENOENT)');
    expect(error).to.include({ command: 'gzip', cwd: '/tmp', cause });
  });
});

describe('ExitError', () => {
  it('names a code', () => {
    const error = new ExitError(failed);
    expect(error.message).to.equal('gzip exited with code 3 after 12 ms');
    expect(error).to.include({ command: 'gzip', exitCode: 3, signal: null, durationMs: 12.4, stderrTail: '' });
    expect('cause' in error).to.be.false;
  });

  it('names a signal', () => {
    const error = new ExitError({ ...failed, exitCode: null, signal: 'SIGSEGV' });
    expect(error.message).to.equal('gzip was ended by SIGSEGV after 12 ms');
    expect(error).to.include({ exitCode: null, signal: 'SIGSEGV' });
  });

  it('repeats the last of stderr', () => {
    const error = new ExitError({ ...failed, stderrTail: 'one\ntwo\n' });
    expect(error.message).to.equal('gzip exited with code 3 after 12 ms; its stderr:\none\ntwo');
    expect(error.stderrTail).to.equal('one\ntwo\n');
  });

  it('repeats whole lines where a line has its border within the last 2000 characters', () => {
    const line = `${'x'.repeat(99)}\n`;
    const said = (stderrTail: string): string =>
      new ExitError({ ...failed, stderrTail }).message.split('stderr:\n')[1]!;
    expect(said(line.repeat(30))).to.equal(`[...] ${line.repeat(20).trimEnd()}`);
    expect(said('y'.repeat(1500) + '\n' + 'z'.repeat(1500))).to.equal(`[...] ${'z'.repeat(1500)}`);
    expect(said('y'.repeat(500) + '\n' + 'z'.repeat(999) + '\n' + 'z'.repeat(1000))).to.equal(
      `[...] ${'z'.repeat(999)}\n${'z'.repeat(1000)}`,
    );
    expect(said('y'.repeat(500) + '\n' + 'z'.repeat(2000))).to.equal(`[...] ${'z'.repeat(2000)}`);
    expect(said('y'.repeat(500) + '\n' + 'z'.repeat(2001))).to.equal(`[...] ${'z'.repeat(2000)}`);
    expect(said('z'.repeat(2001) + '\n')).to.equal(`[...] ${'z'.repeat(2000)}`);
    expect(said('z'.repeat(2000) + '\n')).to.equal('z'.repeat(2000));
  });

  it('keeps what else went wrong as its cause', () => {
    const cause = new InputClosedError({ command: 'gzip', bytesDropped: 10 });
    expect(new ExitError({ ...failed, cause }).cause).to.equal(cause);
  });

  it('says of a request how many stood before it, and that it may be innocent', () => {
    expect(new ExitError(failed).behind).to.equal(0);
    const second = new ExitError({ ...failed, behind: 1 });
    expect(second.behind).to.equal(1);
    expect(second.message).to.equal(
      'gzip exited with code 3 after 12 ms; this request stood behind 1 request and may be innocent',
    );
    expect(new ExitError({ ...failed, behind: 31, stderrTail: 'no' }).message).to.equal(
      'gzip exited with code 3 after 12 ms; this request stood behind 31 requests and may be innocent; its stderr:\nno',
    );
  });

  it('shows stderr once in a log', () => {
    const log = inspect(new ExitError({ ...failed, stderrTail: 'only once' }));
    expect(log.split('only once')).to.have.lengthOf(2);
  });
});

describe('TimeoutError', () => {
  it('says how long it was', () => {
    const error = new TimeoutError({ command: 'gzip', timeoutMs: 1500, phase: 'run' });
    expect(error.message).to.equal('gzip was still running 1500 ms after its spawn');
    expect(error).to.include({ timeoutMs: 1500, phase: 'run', limit: 'timeoutMs' });
  });

  it('names the limit where it is not `timeoutMs`', () => {
    const error = new TimeoutError({ command: 'gzip', timeoutMs: 40, phase: 'header', limit: 'runTimeoutMs' });
    expect(error.message).to.match(/^gzip gave no reply in 40 ms \(`runTimeoutMs`\); /);
    expect(error.limit).to.equal('runTimeoutMs');
  });

  it('says of a child that has never answered how old it is', () => {
    const start = { command: 'java', timeoutMs: 500, phase: 'start' } as const;
    expect(new TimeoutError({ ...start, childAgeMs: 612.4 }).message).to.equal(
      'java had not started to answer after 500 ms: it is 612 ms old and has never answered',
    );
    expect(new TimeoutError({ ...start, timeoutMs: 30_000, limit: 'startTimeoutMs' }).message).to.equal(
      'java had not started to answer after 30000 ms (`startTimeoutMs`)',
    );
  });

  it('says how much of a reply has come, and asks whether a text was printed', () => {
    const body = { command: 'wc', timeoutMs: 40, phase: 'body', receivedBytes: 9, expectedBytes: 1290 } as const;
    const known = 'wc had not finished its reply after 40 ms: 9 of 1290 bytes have come';
    const printed = new TimeoutError({ ...body, firstBytes: Buffer.from('hello you\n') });
    expect(printed.message).to.equal(`${known}, beginning "hello you\\n"; did the program print to stdout?`);
    expect(printed).to.include({ receivedBytes: 9, expectedBytes: 1290 });
    const framed = new TimeoutError({ ...body, firstBytes: Buffer.from('0000050a68656c6c6f', 'hex') });
    expect(framed.message).to.equal(`${known}, beginning 00 00 05 0a 68 65 6c 6c 6f; did the program print to stdout?`);
    expect(new TimeoutError(body).message).to.equal(known);
    const unknown = new TimeoutError({ command: 'wc', timeoutMs: 40, phase: 'body' });
    expect(unknown.message).to.equal('wc had not finished its reply after 40 ms');
    expect(unknown.receivedBytes).to.equal(undefined);
  });

  it('has a sentence for each phase', () => {
    const sentence = (phase: TimeoutPhase): string => new TimeoutError({ command: 'wc', timeoutMs: 40, phase }).message;
    expect(sentence('queue')).to.equal('wc had no child free for the request within 40 ms');
    expect(sentence('write')).to.equal('wc had not taken the whole request after 40 ms');
    expect(sentence('reply')).to.equal('wc gave no reply to the request in 40 ms');
  });
});

describe('InputClosedError', () => {
  it('says how much was not taken', () => {
    const error = new InputClosedError({ command: 'head', bytesDropped: 70_000 });
    expect(error.message).to.equal('head closed its input before all was written: 70000 bytes were not taken');
    expect(error).to.include({ command: 'head', bytesDropped: 70_000 });
  });
});

describe('AbortError', () => {
  it("is Node's own by name, code and message, and has the signal's reason as its cause", () => {
    const reason = { why: 'enough' };
    const error = new AbortError(AbortSignal.abort(reason));
    expect(error).to.include({ name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted' });
    expect(error.cause).to.equal(reason);
  });
});

describe('errors: their length', () => {
  const anything = fc.string({ unit: 'binary', maxLength: 5000, size: 'max' });

  it('is under 8 KiB whatever the child printed and however it is called', () => {
    const bytes = fc.uint8Array({ maxLength: 5000, size: 'max' }).map((array) => Buffer.from(array).toString());
    const repeated = fc.constantFrom('\u20ac', '\u{1f600}', '\ud800', '\n', ' ', '\0').map((unit) => unit.repeat(5000));
    fc.assert(
      fc.property(fc.oneof(anything, bytes, repeated), anything, (stderrTail, command) => {
        const { message } = new ExitError({ ...failed, command, stderrTail });
        expect(Buffer.byteLength(message)).to.be.lessThan(8192);
      }),
      { numRuns: 40 },
    );
  });
});
