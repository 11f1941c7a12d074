import { expect } from 'chai';
import type { Row } from '../../check/check';
import { lines } from '../../check/report';
import { lengthPrefixed } from '../../check/wire';
import type { FrameFormat } from '../../lib';
import { Checks, failures } from '../support/check';
import { program } from '../support/ports';
import { page } from '../support/pages';
import { requirePrograms, stressed } from '../support/stress';

const CASE_NAMES = [
  'no message',
  'one message',
  'one after another',
  'a byte at a time',
  'many in one write',
  'pipelined',
  'an empty message',
  'every byte',
  'sizes around the borders',
  'a large message',
  'the end of the input',
  'on stderr',
];
/** Long enough for a program to come up on a busy machine. */
const TIMEOUT_MS = stressed(1000, 500);
/** Above every size around a border. */
const largeMib = stressed(8, 2);
const timing = { experimentMs: TIMEOUT_MS, longDripMs: 30, extraMs: 30 };

describe('rexport check on programs that break the protocol', () => {
  const packet4: FrameFormat = { packet: 4 };
  const packet2: FrameFormat = { packet: 2 };
  const little: FrameFormat = { prefix: 4, endian: 'little' };
  const counted: FrameFormat = { prefix: 4, lengthIncludesPrefix: true };
  const varint: FrameFormat = { prefix: 'varint' };

  // The way, what is found, and a word of what was seen.
  const zoo: [way: string, found: string[], came: RegExp, format?: FrameFormat, timeoutMs?: number][] = [
    [
      'no-flush',
      ['one message: no-flush'],
      new RegExp(`^nothing in ${TIMEOUT_MS} ms; the reply came when the input was ended$`),
    ],
    ['print-on-stdout', ['one message: print-on-stdout'], /^"got 5 bytes\\n" 00 00 00 05 "hello"$/],
    ['print-on-stdout', ['one message: print-on-stdout'], /^"got 5 bytes\\n" 00 05 "hello"$/, packet2],
    [
      'banner',
      ['no message: print-on-stdout', 'one message: print-on-stdout'],
      /^"worker 1.0 is ready\\n", then exit code 0$/,
    ],
    [
      'short-read',
      ['a byte at a time: short-read', 'sizes around the borders: short-read', 'a large message: short-read'],
      /./,
    ],
    ['little-endian', ['one message: little-endian'], /with a little-endian length it answers/],
    ['no-exit', ['no message: no-exit', 'the end of the input: no-exit'], new RegExp(`^no exit in ${TIMEOUT_MS} ms$`)],
    ['wrong-length', ['one message: wrong-length'], /^00 00 00 06 "hello"$/],
    ['stops-after-first', ['one after another: stops-after-first'], /^1 right reply, then exit code 0$/],
    [
      'size-limit',
      ['sizes around the borders: size-limit', 'a large message: size-limit'],
      /^12 right replies, then exit code 1, and on stderr: message too long$/,
    ],
    ['length-counts-prefix', ['one message: length-counts-prefix'], /with a length that counts itself it answers/],
    ['reads-too-much', ['one message: reads-too-much'], /it answered when 1 byte more came$/],
    ['no-prefix', ['one message: no-prefix'], /^"hello"$/],
    ['adds-newline', ['one message: adds-newline'], /^00 00 00 06 "hello\\n"$/],
    ['extra-reply', ['one message: extra-reply'], /^1 right reply, then 00 00 00 05 "hello"$/],
    ['line-based', ['one message: line-based'], /to the message alone and a newline it answers$/],
    ['other-packet', ['one message: other-packet'], /with a length of 4 bytes it answers/, packet2],
    ['signed-length', ['sizes around the borders: signed-length'], /^10 right replies, then exit code 1/, packet2],
    [
      'text-mode',
      ['every byte: text-mode', 'sizes around the borders: text-mode', 'a large message: text-mode'],
      /^00 00 02 00 /,
      packet4,
      // megabytes of text take their time
      4000,
    ],
    ['empty-message', ['an empty message: empty-message'], /^1 right reply, then exit code 0$/],
    [
      'speaks-first',
      ['no message: speaks-first', 'one message: speaks-first'],
      /^00 00 00 05 "ready", then exit code 0$/,
    ],
    ['stray-frame', ['one message: stray-frame'], /^00 00 00 08 "new task" 00 00 00 05 "hello"$/],
    ['drips', ['no message: print-on-stdout', 'one message: print-on-stdout'], /^"working\\nworking\\n/],
    ['drips-frames', ['no message: speaks-first', 'one message: speaks-first'], /^00 00 00 04 "beat" 00 00 00 04 /],
    ['fine', ['one message: big-endian'], /with a big-endian length it answers/, little],
    ['fine', ['one message: length-counts-message-only'], /with a length of the message alone it answers/, counted],
    ['fine', ['one message: other-packet'], /with a length of 4 bytes it answers/, varint],
    ['fails-at-end', ['no message: fails-at-end', 'the end of the input: fails-at-end'], /^exit code 1$/],
  ];

  // These depend on what meets what: one of the findings must be theirs.
  const others: [way: string, found: string][] = [
    ['out-of-order', 'many in one write: out-of-order'],
    ['drops-at-end', 'the end of the input: drops-at-end'],
    ['one-read-one-message', 'many in one write: one-read-one-message'],
  ];

  const checks = new Checks();
  const results = new Map<string, () => readonly Row[]>();
  const nameOf = (way: string, format: FrameFormat): string => `${way}, ${lengthPrefixed(format).name}`;
  const order = (way: string, format = packet4, timeoutMs = TIMEOUT_MS): void => {
    const bytes = way === 'other-packet' ? 4 : (lengthPrefixed(format).lengthBytes ?? 4);
    const args = [program('broken.pl'), way, String(bytes)];
    results.set(nameOf(way, format), checks.check({ command: 'perl', args, timeoutMs, timing, largeMib }, format));
  };
  for (const [way, , , format, timeoutMs] of zoo) order(way, format, timeoutMs);
  for (const [way] of others) order(way);
  const rowsOf = (way: string, format = packet4): readonly Row[] => results.get(nameOf(way, format))!();

  before(function () {
    this.timeout(300_000);
    requirePrograms(this, 'perl');
    return checks.run();
  });

  for (const [way, found, came, format = packet4] of zoo) {
    it(`${nameOf(way, format)}: ${found.join(', ')}`, () => {
      const rows = rowsOf(way, format);
      expect(failures(rows)).to.deep.equal(found);
      const [first] = rows.filter(({ result }) => result === 'failed');
      expect(first).to.have.property('came').that.matches(came);
      for (const field of ['sent', 'means', 'fix']) expect(first).to.have.property(field).that.matches(/\w/);
    });
  }

  for (const [way, found] of others) {
    it(`${way}: ${found}`, () => expect(failures(rowsOf(way))).to.include(found));
  }

  it('its page shows what is printed', () => {
    const rows = rowsOf('no-flush').slice(0, 3);
    expect(page('docs/check.md').text).to.include(rows.map(lines).join('\n').replace(`${TIMEOUT_MS} ms`, '5000 ms'));
  });

  it('nothing more is run once a program does not answer, or answers only once', () => {
    const rows = rowsOf('stops-after-first');
    expect(rows.map(({ name }) => name)).to.deep.equal(CASE_NAMES);
    expect(rows.slice(3).every(({ result }) => result === 'not run')).to.equal(true);
  });
});
