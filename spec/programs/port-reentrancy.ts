/**
 * Calls public methods of ports at random inside every event, hook and callback of theirs, and looks whether all is well
 * in the end: `port-reentrancy.js OBEYS.PL calm|throwing FIRST_SEED RUNS`. Prints a Report as JSON. In a process of its
 * own, since listeners that throw throw at the process.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  Port,
  PortPool,
  RexPortError,
  type PortPoolOptions,
  type RequestOptions,
  type RequestTransform,
  type TransformOptions,
} from '../../lib/index';
import { randomOf } from '../support/random';

export interface Report {
  readonly runs: number;
  /** What was not as it must be, with the seed. */
  readonly faults: readonly string[];
  /** How often user code was called, by where. */
  readonly places: Readonly<Record<string, number>>;
  /** How often a method was called there. */
  readonly methods: Readonly<Record<string, number>>;
  /** How requests ended. */
  readonly ends: Readonly<Record<string, number>>;
  readonly thrown: number;
}

const PATIENCE_MS = Number(process.env['REENTRANCY_PATIENCE_MS'] ?? 30_000);
const MAX_MESSAGE_BYTES = 2000;
const TOO_LONG = 'x'.repeat(MAX_MESSAGE_BYTES + 1);
/** How many methods user code calls in one run. */
const CALLS = 50;

const places: Record<string, number> = {};
const methods: Record<string, number> = {};
const ends: Record<string, number> = {};
const faults: string[] = [];
const count = (tally: Record<string, number>, name: string): void => void (tally[name] = (tally[name] ?? 0) + 1);

/** What a listener throws: it must come to the process, itself and once. */
class UserError extends Error {}
const expected = new Set<unknown>();
let thrown = 0;
process.on('uncaughtException', (error) => {
  if (!expected.delete(error)) faults.push(`an exception of nobody's: ${String(error.stack)}`);
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

class Run {
  readonly #seed: number;
  readonly #random: () => number;
  readonly #mayThrow: boolean;
  readonly #isEcho: boolean;
  readonly #port: Port<string, string>;
  readonly #open = new Map<Promise<unknown>, string>();
  readonly #pids: number[] = [];
  readonly #controls: AbortController[] = [];
  readonly #maxInFlight: number;
  /** What happened, for the message of a fault. */
  readonly #history: string[] = [];
  #calls = CALLS;
  /** Whether user code may end the port yet: where it does so at once, there is little else to see. */
  #mayEnd: boolean;
  #serial = 0;

  constructor(seed: number, mayThrow: boolean, obeys: string) {
    this.#seed = seed;
    this.#random = randomOf(seed);
    this.#mayThrow = mayThrow;
    this.#isEcho = this.#chance(0.3);
    this.#mayEnd = this.#chance(0.2);
    this.#maxInFlight = this.#upTo(5);
    const [command, args] = this.#isEcho ? ['cat', []] : ['perl', [obeys]];
    const options = {
      encode: (message: string) => {
        this.#visit('encode', true);
        return message;
      },
      decode: (message: Buffer) => {
        this.#visit('decode', true);
        return String(message);
      },
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxInFlight: this.#maxInFlight,
      backoff: { minMs: 0, maxMs: 5 },
      maxRestarts: this.#chance(0.5) ? this.#upTo(4) - 1 : 1000,
      startTimeoutMs: 500,
      closeTimeoutMs: 100,
      forceKillAfterMs: 100,
      ...(this.#chance(0.2) && { maxQueue: this.#upTo(6) }),
      ...(this.#chance(0.2) && { maxRequests: this.#upTo(5) }),
      ...(this.#chance(0.2) && { maxAgeMs: 20 + this.#upTo(60) }),
      ...(this.#chance(0.2) && { requestTimeoutMs: 100 + this.#upTo(200) }),
      ...(this.#chance(0.2) && { runTimeoutMs: 50 + this.#upTo(200) }),
      ...(this.#chance(0.2) && { restart: this.#chance(0.5) ? ('temporary' as const) : ('transient' as const) }),
    } satisfies PortPoolOptions<string, string>;
    if (this.#chance(0.5)) this.#port = new Port<string, string>(command, args, options);
    else {
      const size = this.#upTo(3);
      const pool = new PortPool<string, string>(command, args, {
        ...options,
        size,
        minSize: this.#upTo(size + 1) - 1,
        ...(this.#chance(0.3) && { idleTimeoutMs: 5 + this.#upTo(40) }),
      });
      this.#port = pool as unknown as Port<string, string>;
    }
    this.#history.push(JSON.stringify({ ...options, isEcho: this.#isEcho }));
    this.#listen();
  }

  async go(): Promise<void> {
    for (let n = this.#upTo(15); n > 0; n -= 1) {
      this.#request('the driver');
      if (this.#chance(0.2)) await delay(this.#upTo(30));
    }
    if (this.#chance(0.5)) this.#transform('the driver');
    await delay(this.#upTo(100));
    if (this.#chance(0.5)) await this.#allSettled('before the end');
    this.#mayEnd = true;
    void this.#follow('the last close()', this.#chance(0.7) ? this.#port.close() : this.#port.destroy());
    await this.#allSettled('in the end');
    const { state, pending, queued } = this.#port;
    if (state !== 'closed' || pending !== 0 || queued !== 0) {
      this.#fault(`in the end the port is ${state}, ${pending} pending, ${queued} queued`);
    }
    for (const pid of this.#pids) if (!isGone(pid)) this.#fault(`child ${pid} is still there`);
  }

  #listen(): void {
    const port = this.#port;
    port.on('spawn', ({ pid }) => this.#pids.push(pid!));
    for (const event of ['spawn', 'exit', 'restart', 'lanebroken', 'broken', 'unexpected'] as const) {
      port.on(event, () => {
        // what is broken may have been healed by an earlier listener of the same event, but not be closed by none
        if (port.state === 'closed') this.#fault(`${event} came after the port was closed`);
        this.#visit(event, true);
      });
    }
  }

  #fault(what: string): void {
    faults.push(`seed ${this.#seed}: ${what}`);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  /** User code is called here: it calls what it likes, and throws if it likes. */
  #visit(place: string, mayThrow = false): void {
    count(places, place);
    if (place !== 'write callback') this.#history.push(place);
    if (this.#calls > 0 && this.#chance(0.5)) {
      this.#calls -= 1;
      this.#callAnything(place);
    }
    if (!this.#mayThrow || !mayThrow || !this.#chance(0.25)) return;
    const error = new UserError(`${this.#seed} in ${place}`);
    thrown += 1;
    // what a hook throws comes back as the rejection of its request
    if (place !== 'encode' && place !== 'decode' && place !== 'onError') expected.add(error);
    throw error;
  }

  #callAnything(place: string): void {
    const port = this.#port;
    const draw = this.#random() * (this.#mayEnd ? 1 : 0.9);
    if (draw < 0.3) this.#request(place);
    else if (draw < 0.4) this.#transform(place);
    else if (draw < 0.6) this.#call('restart()', () => this.#restart());
    else if (draw < 0.7) this.#call('start()', () => this.#start());
    else if (draw < 0.78) this.#call('abort()', () => this.#controls[this.#upTo(this.#controls.length) - 1]?.abort());
    else if (draw < 0.84) this.#call('statistics()', () => JSON.stringify(port.statistics()));
    else if (draw < 0.9) this.#call('state', () => `${port.state} ${port.pending} ${port.queued} ${port.restarts}`);
    else if (draw < 0.94) this.#call('close()', () => void this.#follow('close()', port.close()));
    else if (draw < 0.96) {
      this.#call('asyncDispose', () => void this.#follow('asyncDispose', port[Symbol.asyncDispose]()));
    } else if (draw < 0.98) this.#call('destroy()', () => void this.#follow('destroy()', port.destroy()));
    else {
      this.#call('destroy(error)', () => void this.#follow('destroy(error)', port.destroy(new UserError('destroyed'))));
    }
  }

  #call(method: string, action: () => unknown): void {
    count(methods, method);
    this.#history.push(`-> ${method}`);
    action();
  }

  #restart(): void {
    try {
      this.#port.restart();
    } catch (error) {
      if ((error as RexPortError).code !== 'ERR_REXPORT_CLOSED') this.#fault(`restart() threw ${String(error)}`);
    }
  }

  #start(): void {
    void this.#follow('start()', this.#port.start()).catch((error: unknown) => {
      if (!isHonest(error)) this.#fault(`start() was rejected with ${String(error)}`);
    });
  }

  /** @returns the promise, which must settle */
  #follow<T>(what: string, promise: Promise<T>): Promise<T> {
    this.#open.set(promise, what);
    const done = (): boolean => this.#open.delete(promise);
    promise.then(done, done);
    return promise;
  }

  async #allSettled(when: string): Promise<void> {
    const givenUpAt = performance.now() + PATIENCE_MS;
    while (this.#open.size > 0) {
      if (performance.now() > givenUpAt) {
        const lanes = this.#port.statistics().lanes.map(({ lane, state, restarts }) => `${lane} ${state} ${restarts}`);
        const alive = this.#pids.filter((pid) => !isGone(pid)).length;
        const open = [...this.#open.values()].join(', ');
        this.#fault(`${when} unsettled: ${open}; lanes: ${lanes.join()}; alive: ${alive}; ${this.#history.join('; ')}`);
        return;
      }
      const patience = new AbortController();
      const { signal } = patience;
      await Promise.race([
        Promise.allSettled(this.#open.keys()),
        delay(1000, undefined, { signal }).catch(() => undefined),
      ]);
      patience.abort();
    }
  }

  /** @returns a message, and what it is answered with: undefined where that cannot be said, null where it must fail */
  #message(isRow = false): [message: string, reply: string | null | undefined, options: RequestOptions] {
    const text = String((this.#serial += 1));
    const draw = this.#random();
    const shortly = { timeoutMs: 20 + this.#upTo(60) };
    const options: RequestOptions = {
      ...(this.#chance(0.3) && { idempotent: true }),
      ...(this.#chance(0.1) && { timeoutMs: 5 + this.#upTo(100) }),
      ...(this.#chance(0.3) && { signal: this.#signal() }),
    };
    if (draw < 0.5) return [`echo ${text}`, text, options];
    if (draw < 0.6) return [`slowly ${this.#upTo(20)} ${text}`, text, options];
    if (draw < 0.66) return ['exit 1', null, options];
    if (draw < 0.7) return ['kill KILL', null, options];
    // a second answer is the next one's, where one is in flight: without ids nothing can tell
    if (draw < 0.74 && this.#maxInFlight === 1) return ['raw 00000001410000000142', undefined, options];
    if (draw < 0.77) return ['raw ffffffff', null, options];
    if (draw < 0.8) return [`last 0000000141 ${this.#upTo(2) - 1}`, undefined, options];
    // without a signal: what is written behind an aborted one waits for its reply, which never comes
    if (draw < 0.85 && !isRow) return ['never', null, { ...options, ...shortly, signal: undefined }];
    if (draw < 0.94) return [TOO_LONG, null, options];
    if (draw < 0.97) return [5 as unknown as string, null, options];
    return [`echo ${text}`, null, { signal: AbortSignal.abort() }];
  }

  #signal(): AbortSignal {
    const control = new AbortController();
    this.#controls.push(control);
    if (this.#chance(0.5)) control.signal.addEventListener('abort', () => this.#visit('abort'));
    return control.signal;
  }

  #request(place: string): void {
    count(methods, 'request()');
    const [message, reply, options] = this.#message();
    this.#history.push(`-> request(${String(message).slice(0, 20)}, ${JSON.stringify(options)})`);
    const promise = this.#port.request(message, options);
    const name = `${String(message).slice(0, 20)} asked in ${place}`;
    void this.#follow(name, promise).then(
      (got) => {
        count(ends, 'reply');
        this.#judgeReply(message, reply, got, name);
        this.#visit('a reply');
      },
      (error: unknown) => {
        count(ends, (error as RexPortError).code ?? (error as Error).name);
        if (!isHonest(error)) this.#fault(`${name} was rejected with ${String((error as Error).stack)}`);
        this.#visit('a rejection');
      },
    );
  }

  #judgeReply(message: string, reply: string | null | undefined, got: string, name: string): void {
    const right = this.#isEcho && typeof message === 'string' && message !== TOO_LONG ? message : reply;
    if (right !== undefined && got !== right) this.#fault(`${name} was answered with ${got}, not with ${right}`);
  }

  #transform(place: string): void {
    count(methods, 'transform()');
    this.#history.push('-> transform()');
    let isCut = false;
    const options: TransformOptions<string, string> = {
      concurrency: this.#upTo(6),
      ordered: this.#chance(0.7),
      idempotent: this.#chance(0.3),
      timeoutMs: 2000,
      ...(this.#chance(0.7) && {
        onError: (_error: Error, message: string) => {
          this.#visit('onError', true);
          return this.#chance(0.5) ? undefined : `instead of ${message}`;
        },
      }),
    };
    const stage: RequestTransform<string, string> = this.#port.transform(options);
    const rows: string[] = [];
    const replies: string[] = [];
    const closed = new Promise<void>((resolve) => stage.once('close', resolve));
    void this.#follow(`a stage made in ${place}`, closed);
    stage.on('error', (error) => {
      isCut = true;
      if (!isHonest(error)) this.#fault(`a stage failed with ${String(error)}`);
      this.#visit('error of a stage');
    });
    stage.on('data', (reply: string) => {
      replies.push(reply);
      if (this.#calls > 0 && this.#chance(0.05)) {
        isCut = true;
        stage.destroy();
      }
      this.#visit('data');
    });
    stage.on('end', () => this.#visit('end'));
    stage.on('close', () => {
      if (!isCut) this.#judgeRows(rows, replies, options);
      this.#visit('close of a stage');
    });
    for (let n = this.#upTo(8); n > 0; n -= 1) {
      const [message] = this.#message(true);
      rows.push(message);
      stage.write(message, () => this.#visit('write callback'));
    }
    if (this.#chance(0.1)) stage.destroy();
    else stage.end();
    isCut ||= stage.destroyed;
  }

  /** No reply is lost, and each belongs to its row, in order where that was asked for. */
  #judgeRows(
    rows: readonly string[],
    replies: readonly string[],
    { ordered, onError }: TransformOptions<string, string>,
  ): void {
    const echoed = (row: string): string => (this.#isEcho ? row : row.replace(/^(echo|slowly \d+) /, ''));
    const isEchoed = (row: string): boolean => /^(echo|slowly) /.test(row);
    const wanted = rows.filter((row) => typeof row === 'string' && isEchoed(row)).map(echoed);
    const got = replies.filter((reply) => wanted.includes(reply));
    if (ordered && got.some((reply, n) => n > 0 && wanted.indexOf(reply) < wanted.indexOf(got[n - 1]!))) {
      this.#fault(`rows out of order: ${rows.join()} gave ${replies.join()}`);
    }
    if (onError === undefined && replies.length !== rows.length) {
      this.#fault(`of ${rows.length} rows ${replies.length} were answered, and the stage ended well`);
    }
    if (replies.length > rows.length) this.#fault(`${rows.length} rows had ${replies.length} replies`);
  }
}

/** Errors that say what happened: ours, an abort, or the user's own. */
function isHonest(error: unknown): boolean {
  if (error instanceof UserError || error instanceof RexPortError) return true;
  return error instanceof Error && error.name === 'AbortError';
}

async function main(): Promise<void> {
  const [, , obeys, mode, firstSeed, runs] = process.argv;
  const last = Number(firstSeed) + Number(runs);
  let seed = Number(firstSeed);
  const work = async (): Promise<void> => {
    while (seed < last && faults.length < 20) {
      const own = seed;
      seed += 1;
      await new Run(own, mode === 'throwing', obeys ?? '').go();
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  await delay(10);
  for (const error of expected) faults.push(`swallowed: ${String(error)}`);
  const report: Report = { runs: Number(runs), faults, places, methods, ends, thrown };
  console.log(JSON.stringify(report));
}

void main();
