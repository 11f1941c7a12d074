/**
 * What becomes of a pipeline when its program misbehaves, by one way of making a stream of a program. Prints the
 * outcomes as JSON, in the words of the README's table: `outcomes.js WAY [ROW...]`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Duplex, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { PortDuplex } from '../../lib/duplex/port-duplex';

interface Stage {
  readonly stream: Duplex;
  readonly pid: () => number | undefined;
  /** Where the way makes a pipe for stderr and leaves it to the user. */
  readonly unreadStderr?: Readable;
}

type Way = (command: string, args?: readonly string[]) => Stage;

const ways: Record<string, Way> = {
  '`Duplex.from`'(command, args = []) {
    const child = spawn(command, args);
    const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
    return { stream, pid: () => child.pid, unreadStderr: child.stderr };
  },
  execa(command, args = []) {
    const child = execa(command, args);
    return { stream: child.duplex(), pid: () => child.pid };
  },
  'execa, `buffer: false`'(command, args = []) {
    const child = execa(command, args, { buffer: false });
    return { stream: child.duplex(), pid: () => child.pid };
  },
  '`PortDuplex`'(command, args = []) {
    const port = new PortDuplex(command, args);
    return { stream: port, pid: () => port.pid };
  },
};

const rows: Record<string, (way: Way) => Promise<string>> = {
  async 'does not exist'(way) {
    const uncaught = once(process, 'uncaughtException').then(() => 'uncaught exception');
    const outcome = outcomeOf(pipeline(Readable.from(['hello']), way('no-such-program').stream, new Sink()));
    // The pipeline's own end comes before an exception that nobody caught, or after it.
    return Promise.race([uncaught, outcome.then((words) => delay(50, words))]);
  },

  async 'prints 110 MB'(way) {
    const { stream } = way('sh', ['-c', "head -c 110000000 /dev/zero | tr '\\0' x"]);
    return outcomeOf(pipeline(Readable.from([]), stream, new Sink()));
  },

  async 'exits with 3 after its output'(way) {
    return outcomeOf(pipeline(Readable.from(['hello']), way('sh', ['-c', 'cat; exit 3']).stream, new Sink()));
  },

  async 'is killed by SIGKILL after its output'(way) {
    return outcomeOf(pipeline(Readable.from(['hello']), way('sh', ['-c', 'cat; kill -9 $$']).stream, new Sink()));
  },

  async 'exits with 3 while a slow reader still reads'(way) {
    const { stream } = way('sh', ['-c', 'cat; head -c 600000 /dev/zero; exit 3']);
    stream.end();
    let bytes = 0;
    const outcome = await outcomeOf(
      (async () => {
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          await delay(10);
        }
      })(),
    );
    return `${bytes === 600_000 ? 'all bytes' : 'bytes lost'}, ${outcome}`;
  },

  async 'leaves early with 0, as `head` does'(way) {
    return outcomeOf(pipeline(zeros(), way('head', ['-c', '5']).stream, new Sink()));
  },

  async 'closes its input early, prints, exits with 0'(way) {
    const sink = new Sink();
    const { stream } = way('sh', ['-c', 'exec 0<&-; sleep 0.4; echo hello']);
    const outcome = await outcomeOf(pipeline(zeros(), stream, sink));
    return sink.bytes === 6 ? outcome : `output lost, ${outcome}`;
  },

  async 'closes its input early, exits with 4'(way) {
    return outcomeOf(pipeline(zeros(), way('sh', ['-c', 'exec 0<&-; sleep 0.4; exit 4']).stream, new Sink()));
  },

  async '`yes` into `head -n 1`, a stage each'(way) {
    const outcome = await outcomeOf(pipeline(way('yes').stream, way('head', ['-n', '1']).stream, new Sink()));
    // Which of the two is blamed, and for what, differs from run to run.
    return outcome.replace(/:.*/, '');
  },

  async 'runs when the stream is destroyed'(way) {
    return fateOf(way, async ({ stream }) => {
      stream.on('error', () => undefined);
      await once(stream, 'readable');
      stream.destroy();
    });
  },

  async 'runs when a `for await` is left by `break`'(way) {
    return fateOf(way, async ({ stream }) => {
      for await (const chunk of stream) if (chunk) break;
    });
  },

  async 'runs when the source fails'(way) {
    return fateOf(way, async ({ stream }) => {
      const sink = new Sink();
      const hasPrinted = once(sink, 'chunk');
      async function* source(): AsyncGenerator<string> {
        yield 'hello';
        await hasPrinted;
        throw new Error('no more');
      }
      // Not waited for: one that waits for the program would wait while that runs.
      void outcomeOf(pipeline(source, stream, sink));
      await hasPrinted;
    });
  },

  async 'leaves a daemon behind that holds its stdout'(way) {
    const { stream } = way('sh', ['-c', 'sleep 2 & echo $!']);
    let daemon = 0;
    const outcome = await outcomeOf(
      pipeline(Readable.from([]), stream, async (chunks) => (daemon = Number(await text(chunks)))),
    );
    // Its stdout is closed a moment before it is gone.
    await delay(100);
    if (!isRunning(daemon)) return `${outcome}, after the daemon's end`;
    process.kill(daemon);
    return outcome;
  },

  async 'prints 10 MB on stderr, exits with 1'(way) {
    const { stream, pid, unreadStderr } = way('sh', ['-c', 'yes "a complaint" | head -c 10000000 >&2; exit 1']);
    const outcome = pipeline(Readable.from([]), stream, new Sink()).then(
      () => 'success',
      (error: Error) => {
        const { length } = error.message;
        const told = error.message.includes('a complaint\na complaint') ? 'with the last of it' : 'without it';
        return `${wordsFor(error)}, message ${length > 8192 ? `of ${Math.round(length / 1e6)} MB` : told}`;
      },
    );
    const stuck = unreadStderr && isFull(unreadStderr).then(() => 'hangs');
    const words = await Promise.race(stuck ? [outcome, stuck] : [outcome]);
    if (words === 'hangs') {
      process.kill(pid()!, 'SIGKILL');
      unreadStderr?.destroy();
    }
    return words;
  },
};

class Sink extends Writable {
  bytes = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.bytes += chunk.length;
    this.emit('chunk');
    callback();
  }
}

/** 10 MB. */
function zeros(): Readable {
  return Readable.from(Array.from({ length: 160 }, () => Buffer.alloc(65_536)));
}

async function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(() => 'success', wordsFor);
}

interface AnyError extends Error {
  readonly code?: string;
  readonly exitCode?: number | null;
  readonly signal?: string | null;
  readonly isMaxBuffer?: boolean;
}

function wordsFor({ code, exitCode, signal, isMaxBuffer, cause }: AnyError): string {
  if (isMaxBuffer) return 'error: maxBuffer';
  if (signal) return `error: ${signal}`;
  if (exitCode) return `error: exit code ${exitCode}`;
  const isPipe = ['EPIPE', 'ECONNRESET', 'ECANCELED', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code ?? '');
  return isPipe ? 'error: broken pipe' : `error: ${(cause as AnyError | undefined)?.code ?? code}`;
}

/** What has become of the program by the stream's `close`, or a second after we left the stream. */
async function fateOf(way: Way, leave: (stage: Stage) => Promise<void>): Promise<string> {
  const stage = way('sh', ['-c', 'echo hello; exec sleep 30']);
  const closed = once(stage.stream, 'close').catch(() => undefined);
  await leave(stage);
  const pid = stage.pid()!;
  await Promise.race([closed, delay(1000)]);
  if (!isRunning(pid)) return 'ended';
  await delay(500);
  if (!isRunning(pid)) return 'ended after the stream';
  process.kill(pid, 'SIGKILL');
  return 'lives on';
}

/** A zombie runs no more: it waits for a parent that may never ask. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

async function isFull(stream: Readable): Promise<void> {
  while (stream.readableLength < stream.readableHighWaterMark) await delay(10);
}

async function main(): Promise<void> {
  const [name = '', ...only] = process.argv.slice(2);
  const way = ways[name]!;
  const titles = only.length > 0 ? only : Object.keys(rows);
  const outcomes: Record<string, string> = {};
  const measure = async (title: string): Promise<void> => void (outcomes[title] = await rows[title]!(way));
  // The first two alone: one for its uncaught exception, one for its load.
  for (const title of titles.slice(0, 2)) await measure(title);
  await Promise.all(titles.slice(2).map(measure));
  console.log(JSON.stringify(outcomes, null, 2));
  process.exit();
}

void main();
