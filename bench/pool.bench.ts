/** What several children do together: against one, against bare copies of the program, against worker threads. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encodeFrame, FrameParser, Port, PortPool, type PortPoolOptions } from '../lib';
import { hash, ROUNDS } from './hash';
import type { Bench, Contender, Work } from './harness';

/** As messages say: sleeps that many milliseconds, then echoes. */
const SLEEPER = `
  binmode $_ for *STDIN, *STDOUT;
  $| = 1;
  while (read(STDIN, my $header, 4) == 4) {
    read STDIN, my $message, unpack "N", $header;
    select undef, undef, undef, $message / 1000;
    print $header, $message;
  }`;
const sleeper: Program = ['perl', ['-e', SLEEPER]];
const hashChild: Program = [process.execPath, [join(__dirname, 'hash-child.js')]];
const echo: Program = ['cat', []];

type Program = readonly [command: string, args: readonly string[]];
type Requests = Pick<Port, 'request'>;

/** `size` requests, as many in flight as the children can hold. */
async function ask(port: Requests, { size }: Work, message: string | Buffer, inFlight: number): Promise<void> {
  let left = size;
  const one = async (): Promise<void> => {
    while (left-- > 0) await port.request(message);
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}

function pool(size: number, program: Program, message: string | Buffer, options: PortPoolOptions = {}): Contender {
  return async (work) => {
    const children = new PortPool(...program, { size, ...options });
    const inFlight = size * (options.maxInFlight ?? 1);
    await ask(children, { ...work, size: 4 * inFlight }, message, inFlight);
    return () => ask(children, work, message, inFlight);
  };
}

function port(program: Program, message: string | Buffer, options: PortPoolOptions = {}): Contender {
  return async (work) => {
    const child = new Port(...program, options);
    await child.request(message);
    return () => ask(child, work, message, options.maxInFlight ?? 1);
  };
}

/** All there is to do for this many copies of the program at once, each with all of its messages before it from the start. */
function bareCopies(copies: number, [command, args]: Program, message: string): Contender {
  return async ({ size }) => {
    const share = Math.ceil(size / copies);
    const frame = encodeFrame(message);
    const all = Buffer.concat(new Array<Buffer>(share).fill(frame));
    const children = Array.from({ length: copies }, () => {
      const { stdin, stdout } = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const parser = new FrameParser();
      const replies = async (count: number): Promise<void> => {
        for (let left = count; left > 0;) {
          if (parser.next() !== undefined) left -= 1;
          else parser.write(((await once(stdout, 'data')) as [Buffer])[0]);
        }
      };
      return { stdin, replies };
    });
    for (const { stdin, replies } of children) {
      stdin.write(frame);
      await replies(1);
    }
    return async () => {
      for (const { stdin } of children) stdin.write(all);
      await Promise.all(children.map(({ replies }) => replies(share)));
    };
  };
}

/** The same function in worker threads. */
function piscina(threads: number): Contender {
  return async (work) => {
    const { Piscina } = await import('piscina');
    const filename = join(__dirname, 'hash.js');
    const workers = new Piscina({ filename, name: 'hash', minThreads: threads, maxThreads: threads });
    const port = { request: (rounds: unknown) => workers.run(rounds) } as unknown as Requests;
    await ask(port, { ...work, size: 4 * threads }, ROUNDS as unknown as string, threads);
    return () => ask(port, work, ROUNDS as unknown as string, threads);
  };
}

/** Rows through a stage over a pool. */
function stage(
  row: (n: number) => string,
  { size, ordered, concurrency }: { size: number; ordered: boolean; concurrency?: number },
): Contender {
  return async (work) => {
    const children = new PortPool<string, Buffer>(...sleeper, { size });
    await ask(children, { ...work, size: 4 * size }, '0', size);
    return async () => {
      let count = 0;
      const sink = new Writable({
        objectMode: true,
        write: (_reply, _encoding, callback) => {
          count += 1;
          callback();
        },
      });
      const rows = Array.from({ length: work.size }, (_, n) => row(n));
      await pipeline(Readable.from(rows), children.transform({ ordered, concurrency }), sink);
      if (count !== work.size) throw new Error(`expected ${work.size} replies, got ${count}`);
    };
  };
}

const EVEN_MS = 2;
/** One in twenty, where it pleases: every 20th would meet the same child again and again. */
const isSlow = (n: number): boolean => hash(n + 1) % 20 === 0;
const unevenMs = (n: number): number => (isSlow(n) ? 20 * EVEN_MS : EVEN_MS);

/** What the sleeping takes, if no child ever waits. A sleep of 2 ms is longer than that: so it is measured. */
const ideal =
  (size: number): Contender =>
  async (work) => {
    const one = new Port(...sleeper);
    const sleep = async (ms: number): Promise<number> => {
      const startedAt = performance.now();
      await ask(one, { ...work, size: 40 }, String(ms), 1);
      return (performance.now() - startedAt) / 40;
    };
    return async () => {
      const [fast, slow] = [await sleep(EVEN_MS), await sleep(20 * EVEN_MS)];
      const slowRows = Array.from({ length: work.size }, (_, n) => n).filter(isSlow).length;
      return ((work.size - slowRows) * fast + slowRows * slow) / size / 1000;
    };
  };

const MESSAGE = Buffer.alloc(64, 'x');
const PIPELINED = { maxInFlight: 64 };

export const bench: Bench = {
  sleep: {
    title: 'requests of which each sleeps 5 ms in its child',
    size: 400,
    runSeconds: 1.5,
    rounds: 5,
    targets: { 'pool of 1': 1.9, Port: 1.9 },
    contenders: {
      'pool of 2': pool(2, sleeper, '5'),
      'pool of 1': pool(1, sleeper, '5'),
      'pool of 4': pool(4, sleeper, '5'),
      Port: port(sleeper, '5'),
    },
  },
  cpu: {
    title: 'requests of which each keeps a core busy for 5 ms',
    size: 100,
    rounds: 5,
    turns: 7,
    targets: { 'two bare copies': 0.9 },
    contenders: {
      'pool of 2': pool(2, hashChild, String(ROUNDS)),
      'pool of 2, 2 in flight': pool(2, hashChild, String(ROUNDS), { maxInFlight: 2 }),
      'two bare copies': bareCopies(2, hashChild, String(ROUNDS)),
      'piscina, 2 threads': piscina(2),
      'pool of 1': pool(1, hashChild, String(ROUNDS)),
      'pool of 4': pool(4, hashChild, String(ROUNDS)),
      Port: port(hashChild, String(ROUNDS)),
    },
  },
  echo: {
    title: 'requests of 64 bytes to `cat`, 64 in flight in each child: the work is ours alone',
    size: 100_000,
    rounds: 5,
    contenders: {
      'pool of 2': pool(2, echo, MESSAGE, PIPELINED),
      'pool of 1': pool(1, echo, MESSAGE, PIPELINED),
      'pool of 4': pool(4, echo, MESSAGE, PIPELINED),
      Port: port(echo, MESSAGE, PIPELINED),
    },
  },
  ordered: {
    title: `rows that take ${EVEN_MS} ms each, through transform() over a pool of 4`,
    size: 2000,
    runSeconds: 1.2,
    rounds: 5,
    targets: { unordered: 0.9 },
    contenders: {
      ordered: stage(() => String(EVEN_MS), { size: 4, ordered: true }),
      unordered: stage(() => String(EVEN_MS), { size: 4, ordered: false }),
    },
  },
  uneven: {
    title: `rows of which one in twenty takes 20 times as long as the ${EVEN_MS} ms of the others`,
    size: 1000,
    runSeconds: 1.2,
    rounds: 5,
    ratio: 'cost',
    targets: { ideal: 1.3 },
    contenders: {
      ordered: stage((n) => String(unevenMs(n)), { size: 4, ordered: true }),
      ideal: ideal(4),
      unordered: stage((n) => String(unevenMs(n)), { size: 4, ordered: false }),
    },
  },
};
