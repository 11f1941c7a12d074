/** What can be wrong with a program, what that means, and how to fix it. */

interface Advice {
  readonly means: string;
  readonly fix: string;
}

/** By verdict; docs/check.md has them as a table. */
export const ADVICE = {
  'no-flush': {
    means: 'the reply stays in the output buffer of the program, which writes only when that is full, or at its end',
    fix: 'flush after each reply: Python flush(), Perl $| = 1, Ruby sync = true, C fflush(), Java flush(); or run it by stdbuf -o0',
  },
  'print-on-stdout': {
    means: 'the program prints on stdout, and the print is read as a frame',
    fix: 'print to stderr; better, send stdout to stderr at the start and keep the real one for the frames',
  },
  'short-read': {
    means: 'the program takes the bytes of one read for all that it asked for; a pipe may give fewer',
    fix: 'read in a loop until all bytes are there: 4 of the header, then as many as it says; of a line, until the newline',
  },
  'one-read-one-message': {
    means: 'the program takes the bytes of one read for one message; a pipe may give several messages together',
    fix: 'read as many bytes as the length says, or up to the newline of a line, and leave the rest for the next read',
  },
  'little-endian': {
    means: 'the program has the bytes of the length in the wrong order: little-endian, as the machine is',
    fix: 'use network order: Python ">I", Perl "N", Ruby "N", C ntohl() and htonl(), Node readUInt32BE()',
  },
  'big-endian': {
    means: 'the program has the bytes of the length in network order: big-endian, as Erlang and Java have them',
    fix: 'leave out --endian little, or write the length as the host does: little-endian',
  },
  'length-counts-prefix': {
    means: 'in the program the length counts its own bytes too',
    fix: 'let the length be that of the message alone; or, where the host does so too, use --length-includes-prefix',
  },
  'length-counts-message-only': {
    means: 'in the program the length is that of the message alone',
    fix: 'leave out --length-includes-prefix, or let the length count its own bytes too',
  },
  'speaks-first': {
    means:
      'the program sends a message before it was asked; the first request would get it, and each one the reply before',
    fix: 'send nothing but replies; what a program says at its start belongs on stderr',
  },
  'stray-frame': {
    means: 'the program sends a message that is no reply in front of the reply; the request would get it',
    fix: 'send one message for each request and nothing else; a log, or a state of progress, belongs on stderr',
  },
  'does-not-start': {
    means: 'the program ends by itself, though its input is open and nothing was asked: it does not come up',
    fix: 'see what it says on stderr, and run it by hand: a path, an argument or a module may be missing',
  },
  'wrong-length': {
    means: 'the length in front of the reply is not the number of bytes that follow',
    fix: 'take the length of the encoded bytes, of exactly what is written: no characters, no newline or NUL behind them',
  },
  'reads-too-much': {
    means: 'the program waits for more bytes than the length says',
    fix: 'read exactly as many bytes as the length says, which does not count itself',
  },
  'no-prefix': {
    means: 'the program answers without a length',
    fix: 'write the number of bytes first, then the bytes',
  },
  'other-packet': {
    means: 'the program speaks the protocol with a length of another width',
    fix: 'use --packet or --prefix with that width, or change the program',
  },
  'other-channel': {
    means: 'the program speaks on other descriptors: on stdin and stdout, or on 3 and 4',
    fix: 'use --channel fd3 for a program that reads 3 and writes 4, and leave it out for one that reads 0 and writes 1',
  },
  'line-based': {
    means: 'the program reads lines, not frames',
    fix: 'use --framing lines; or read 4 bytes of length, then as many bytes as it says',
  },
  'length-prefixed': {
    means: 'the program speaks length prefixes',
    fix: 'leave out --framing, or change the program',
  },
  'no-newline': {
    means: 'the program answers without a newline at the end',
    fix: 'end each reply with one newline, and flush',
  },
  'text-mode': {
    means: 'the program treats the bytes as text: it decodes them, or translates newlines',
    fix: 'read and write bytes: Python sys.stdin.buffer, Perl binmode, Ruby binmode, Node Buffers; decode only what is text',
  },
  'adds-newline': {
    means: 'the reply has a newline at its end that was not in the request',
    fix: 'write the bytes, do not print a line: Python write(), Ruby write, Perl print without \\n, Java write()',
  },
  'stops-after-first': {
    means: 'the program answers once and takes no second message',
    fix: 'loop: read, answer, flush, until the input ends',
  },
  'out-of-order': {
    means: 'the replies do not come in the order of the requests, and nothing else tells which belongs to which',
    fix: 'answer in the order of the requests, whichever is done first',
  },
  'empty-message': {
    means: 'the program does not take a message of no bytes for a message; often for the end of the input',
    fix: 'a length of 0 is a message: answer it; the input ends when no byte of a header comes',
  },
  'signed-length': {
    means: 'the program reads the length as a signed number',
    fix: 'read it unsigned: Python signed=False, Perl "n" or "N", C unsigned char and uint32_t, Java & 0xff',
  },
  'size-limit': {
    means: 'the program cannot take messages of this size, though smaller ones work',
    fix: 'take memory for as many bytes as the length says, not a buffer of one size; read and write in loops',
  },
  'no-exit': {
    means: 'the program goes on after the end of its input; a host that was killed would leave it behind',
    fix: 'exit when a read gives no bytes where a frame would begin; let nothing else keep the program then',
  },
  'fails-at-end': {
    means: 'the program takes the end of its input for a failure',
    fix: 'exit with code 0 when a read gives no bytes where a frame would begin',
  },
  'drops-at-end': {
    means: 'the program leaves at the end of its input before it has answered all that came before',
    fix: 'answer every message that has come whole, then exit',
  },
  exits: {
    means: 'the program ends instead of answering',
    fix: 'see what it says on stderr, and run it by hand',
  },
  silent: {
    means:
      'the program does not answer: it may not read frames, may wait for something else, or need longer than --timeout',
    fix: 'let it write to stderr what it has read; read 4 bytes of length, then as many bytes as it says',
  },
  'wrong-reply': {
    means: 'a reply came, and it is not the one that was expected',
    fix: 'a program that is no echo is checked with pairs of --request and --expect',
  },
  'extra-reply': {
    means: 'the program sends more than one reply to a message; the next request would get it',
    fix: 'answer each message once, also when there is nothing to say: with an empty message',
  },
} as const satisfies Record<string, Advice>;

export type Diagnosis = keyof typeof ADVICE;

/** A case that failed. All texts are lines for people. */
export interface Finding extends Advice {
  readonly diagnosis: Diagnosis;
  readonly sent: string;
  readonly came: string;
}

export function finding(diagnosis: Diagnosis, sent: string, came: string): Finding {
  return { diagnosis, sent, came, ...ADVICE[diagnosis] };
}

const SHOWN_BYTES = 24;

/** Bytes as they read in a line: `00 00 00 05 "hello"`, the first of many. */
export function shownBytes(bytes: Buffer): string {
  if (bytes.length === 0) return 'nothing';
  const runs = bytes
    .subarray(0, SHOWN_BYTES)
    .toString('latin1')
    .match(/[\t\n\r -~]{3,}|[^]/g);
  const shown = (runs ?? []).map((run) =>
    run.length > 1 ? JSON.stringify(run) : run.charCodeAt(0).toString(16).padStart(2, '0'),
  );
  return bytes.length > SHOWN_BYTES ? `${shown.join(' ')} ... (${count(bytes.length, 'byte')})` : shown.join(' ');
}

export function count(number: number, noun: string, nouns = `${noun}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? noun : nouns}`;
}
