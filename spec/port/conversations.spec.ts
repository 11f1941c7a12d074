/** Children that say all that a protocol knows, at random, while requests come, are aborted and are due, and children are killed. */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import {
  contentLength,
  incoming,
  lengthPrefix,
  lines,
  Port,
  PortPool,
  type Framing,
  type Incoming,
  type PortChild,
  type PortPoolOptions,
  type Protocol,
} from '../../lib';
import { collectGarbage } from '../support/memory';
import { program } from '../support/ports';
import { isAlive } from '../support/processes';
import { requirePrograms, stressed } from '../support/stress';
import { randomOf } from '../support/random';

const REQUESTS = stressed(2000, 300);
const CALLERS = 12;
/** What takes longer was forgotten. */
const FORGOTTEN_MS = 30_000;
/** How many requests may be there when all are settled: a list of abandoned ones would hold hundreds. */
const MAX_KEPT = 100;

/** What is asked of the child, and how often: see spec/programs/converse.pl. */
const VERBS: readonly (readonly [verb: string, weight: number])[] = [
  ['plain', 300],
  ['error', 60],
  ['event', 60],
  ['noise', 20],
  ['call', 120],
  ['callback', 60],
  ['callnone', 20],
  ['never', 60],
  ['die', 12],
  ['callthrow', 4],
];
/** What takes a message that names its request. */
const VERBS_BY_ID = [...VERBS, ['progress', 120], ['twice', 30], ['stranger', 4]] as const;

type Said =
  | { readonly nonce: string; readonly verb: string; readonly times?: number }
  | { readonly note: number }
  | { readonly cancel: number };
type Conversing = Port<Said, string, string> | PortPool<Said, string, string>;

interface Asked {
  readonly nonce: string;
  readonly verb: string;
  readonly isIdempotent: boolean;
  readonly hasDeadline: boolean;
  readonly control: AbortController;
  state: 'asked' | 'answered' | 'settled';
  wasCancelled: boolean;
  times: number;
  seen: number;
}

const backwards = (text: string): string => Array.from(text).reverse().join('');
const nameOf = ({ lane, generation }: { lane: number; generation: number }): string => `${lane}/${generation}`;

/** What goes over one port, and what of it is not as it must be. */
class Conversation {
  readonly faults: string[] = [];
  readonly tally: Record<string, number> = {};
  readonly protocol: Protocol<Said, string, string>;
  readonly pids = new Set<number>();
  /** Each is held by its request. */
  readonly promises: WeakRef<Promise<unknown>>[] = [];

  readonly #random: () => number;
  readonly #usesIds: boolean;
  readonly #asked = new Map<string, Asked>();
  readonly #byId = new Map<number, Asked>();
  readonly #gone = new Set<string>();
  readonly #noted = new Set<number>();
  #lastId = 0;
  #nonces = 0;
  #notes = 0;

  constructor(random: () => number, usesIds: boolean) {
    this.#random = random;
    this.#usesIds = usesIds;
    this.protocol = {
      ids: usesIds,
      encode: (said, id, wantsProgress) => this.#encode(said, id, wantsProgress === true),
      receive: (message, child) => this.#receive(String(message), child),
      ...(usesIds && { cancel: (id: number, child: PortChild<Said, unknown>) => this.#cancel(id, child) }),
    };
  }

  get hooks() {
    const chat = (child: PortChild<Said, string>, verb: string, times: number): Promise<string> =>
      child.request({ nonce: `${verb}${(this.#nonces += 1)}`, verb, times });
    return {
      start: async (child: PortChild<Said, string>): Promise<void> => {
        this.#count('start');
        if (this.#random() < 0.5) await turn();
        const greeting = String(await child.receive());
        if (greeting !== 'hello') this.faults.push(`greeted by ${greeting}`);
        await chat(child, 'seed', Math.floor(this.#random() * 1e9));
        child.send({ note: 0 });
      },
      stop: async (child: PortChild<Said, string>): Promise<void> => {
        this.#count('stop');
        await chat(child, 'plain', 0);
      },
    };
  }

  watch(port: Conversing): void {
    port.on('spawn', ({ pid }) => this.pids.add(pid ?? 0));
    port.on('exit', (child) => this.#gone.add(nameOf(child)));
    port.on('message', (event) => this.#event(event));
    port.on('unexpected', (_child, message) => {
      const isStranger = /^reply 999999999 /.test(String(message));
      this.#count(isStranger ? 'stranger' : String(message));
      if (!isStranger && String(message) !== 'noise') this.faults.push(`${String(message)} was unexpected`);
    });
  }

  /** One request after another, as long as some are left. */
  async call(port: Conversing, left: () => boolean): Promise<void> {
    while (left()) {
      const before = this.#random();
      if (before < 0.1 && port instanceof Port) this.#send(port);
      if (before > 0.995) port.restart();
      if (before > 0.985) this.#kill();
      await (before > 0.97 && before < 0.98 ? this.#storm(port) : this.#one(port, new AbortController()));
    }
  }

  async #storm(port: Conversing): Promise<void> {
    const control = new AbortController();
    const all = Array.from({ length: 12 }, () => this.#one(port, control));
    await delay(this.#random() * 5);
    control.abort();
    await Promise.all(all);
  }

  #kill(): void {
    const alive = [...this.pids].filter(isAlive);
    const pid = alive[Math.floor(this.#random() * alive.length)];
    if (pid === undefined) return;
    this.#count('kill');
    process.kill(pid, 'SIGKILL');
  }

  #send(port: Port<Said, string, string>): void {
    const note = (this.#notes += 1);
    port.send({ note }).then(
      () => this.#count('sent'),
      (error: unknown) => this.faults.push(`note ${note}: ${String(error)}`),
    );
  }

  async #one(port: Conversing, control: AbortController): Promise<void> {
    const random = this.#random;
    const verb = this.#verb();
    const isAborted = random() < 0.1 || (verb === 'never' && random() < 0.7);
    const hasDeadline = random() < 0.1 || (verb === 'never' && !isAborted);
    // one that is never answered, and was aborted, keeps back those behind it until a deadline of theirs costs the child
    const patienceMs = this.#usesIds ? FORGOTTEN_MS : stressed(1000, 250);
    const wantsProgress = verb === 'progress' && random() < 0.8;
    const asked: Asked = {
      nonce: `n${(this.#nonces += 1)}`,
      verb,
      isIdempotent: random() < 0.3,
      hasDeadline: hasDeadline || !this.#usesIds,
      control,
      state: 'asked',
      wasCancelled: false,
      times: 3,
      seen: 0,
    };
    this.#asked.set(asked.nonce, asked);
    const { nonce, isIdempotent } = asked;
    const request = port.request(
      { nonce, verb, times: 3 },
      {
        idempotent: isIdempotent,
        signal: control.signal,
        timeoutMs: hasDeadline ? 1 + Math.floor(random() * 60) : patienceMs,
        ...(random() < 0.05 && { runTimeoutMs: 2000 }),
        ...(wantsProgress && { onProgress: (value: unknown) => this.#progress(asked, String(value)) }),
      },
    );
    this.promises.push(new WeakRef(request));
    if (isAborted) void this.#abortSoon(control);
    try {
      const reply = await request;
      this.#count('reply');
      if (verb === 'error' || reply !== backwards(nonce)) this.faults.push(`${verb} ${nonce} got ${reply}`);
    } catch (error) {
      this.#judge(asked, error as Error & { code?: string; limit?: string });
    }
    if (asked.state === 'settled') this.faults.push(`${nonce} was settled twice`);
    asked.state = 'settled';
    if (!isIdempotent && asked.seen > 1) this.faults.push(`${nonce} was given to ${asked.seen} children`);
  }

  #judge({ nonce, verb, hasDeadline, control, isIdempotent }: Asked, error: Error & { code?: string }): void {
    this.#count(error.code ?? error.message.split(' ')[0]!);
    const isHonest =
      error.code === 'ERR_REXPORT_EXIT' ||
      (error.code === 'ERR_REXPORT_POISON' && isIdempotent) ||
      (error.code === 'ERR_REXPORT_TIMEOUT' && hasDeadline) ||
      // where it dies, it may leave half a frame, or what is none
      error.code === 'ERR_REXPORT_FRAME_TRUNCATED' ||
      error.code === 'ERR_REXPORT_BAD_LENGTH' ||
      (error.name === 'AbortError' && control.signal.aborted) ||
      (verb === 'error' && error.message === `refused ${backwards(nonce)}`);
    if (!isHonest) this.faults.push(`${verb} ${nonce} was rejected with ${String(error)}`);
  }

  async #abortSoon(control: AbortController): Promise<void> {
    const how = this.#random();
    if (how < 0.15) {
      control.abort();
      return;
    }
    if (how < 0.3) await Promise.resolve();
    else if (how < 0.6) await turn();
    else if (how < 0.9) await delay(this.#random() * 20);
    control.abort();
  }

  #verb(): string {
    const verbs = this.#usesIds ? VERBS_BY_ID : VERBS;
    const sum = verbs.reduce((total, [, weight]) => total + weight, 0);
    let at = this.#random() * sum;
    return verbs.find(([, weight]) => (at -= weight) < 0)?.[0] ?? 'plain';
  }

  #encode(said: Said, id: number | undefined, wantsProgress: boolean): string {
    if ('note' in said) return `note ${said.note}`;
    if ('cancel' in said) return `cancel ${said.cancel}`;
    const { nonce, verb, times = 0 } = said;
    if (this.#usesIds) {
      if (id === undefined || id <= this.#lastId) this.faults.push(`id ${id} was given after ${this.#lastId}`);
      this.#lastId = id ?? 0;
      const asked = this.#asked.get(nonce);
      if (asked !== undefined) this.#byId.set(this.#lastId, asked);
    }
    return `ask ${id ?? '-'} ${Number(wantsProgress)} ${nonce} ${verb} ${times}`;
  }

  #receive(text: string, child: PortChild<Said, unknown>): Incoming<string, string> {
    const [what, first = '', second = '', third = ''] = text.split(' ');
    const id = this.#usesIds ? Number(first) : undefined;
    switch (what) {
      case 'reply':
        this.#answered(id);
        return incoming.reply(second, id);
      case 'error':
        this.#answered(id);
        return incoming.error(new Error(`refused ${second}`), id);
      case 'progress':
        return incoming.progress(`${second} ${third}`, Number(first));
      case 'event':
        return incoming.event(text.slice('event '.length));
      case 'call':
        this.#count(third);
        return incoming.call(() => this.#answerTo(first, second, third, child));
      default:
        if (text !== 'noise') this.faults.push(`the child said ${text}`);
        return incoming.stray();
    }
  }

  #answered(id: number | undefined): void {
    const asked = id === undefined ? undefined : this.#byId.get(id);
    if (asked?.state === 'asked') asked.state = 'answered';
  }

  #answerTo(
    call: string,
    nonce: string,
    verb: string,
    child: PortChild<Said, unknown>,
  ): undefined | string | Promise<string | undefined> {
    const answer = `answer ${call} ${backwards(nonce)}`;
    if (verb === 'callnone') return undefined;
    if (verb === 'callthrow') throw new Error('the handler is at fault');
    if (verb === 'callback' && this.#usesIds) return this.#askBack(answer, child);
    return this.#random() < 0.5 ? answer : turn(answer);
  }

  async #askBack(answer: string, child: PortChild<Said, unknown>): Promise<string | undefined> {
    const nonce = `b${(this.#nonces += 1)}`;
    try {
      const reply = await child.request({ nonce, verb: 'plain' });
      if (reply !== backwards(nonce)) this.faults.push(`${nonce}, asked back, got ${String(reply)}`);
      return answer;
    } catch {
      // it died: nobody waits for the answer
      return undefined;
    }
  }

  #cancel(id: number, child: PortChild<Said, unknown>): void {
    this.#count('cancel');
    const asked = this.#byId.get(id);
    if (asked !== undefined) {
      if (asked.state !== 'asked') this.faults.push(`${asked.nonce} was cancelled when it was ${asked.state}`);
      if (asked.wasCancelled) this.faults.push(`${asked.nonce} was cancelled twice`);
      asked.wasCancelled = true;
    }
    if (this.#gone.has(nameOf(child))) this.faults.push(`${id} was cancelled with a child that is gone`);
    child.send({ cancel: id });
  }

  #event(event: string): void {
    const [what, value = ''] = event.split(' ');
    this.#count(what!);
    if (event.startsWith('fault')) this.faults.push(event);
    if (what === 'seen') {
      const asked = this.#asked.get(value);
      if (asked !== undefined) asked.seen += 1;
    }
    if (what !== 'noted' || value === '0') return;
    if (this.#noted.has(Number(value))) this.faults.push(`note ${value} was given twice`);
    this.#noted.add(Number(value));
  }

  #progress(asked: Asked, value: string): void {
    this.#count('progress');
    const [nonce, times] = value.split(' ');
    if (nonce !== asked.nonce) this.faults.push(`${asked.nonce} got the progress of ${nonce}`);
    if (asked.state !== 'asked') this.faults.push(`${asked.nonce} got progress when it was ${asked.state}`);
    // to a second child it is new
    if (!asked.isIdempotent && Number(times) !== asked.times - 1) {
      this.faults.push(`${asked.nonce} got progress ${times} after ${asked.times}`);
    }
    asked.times = Number(times);
  }

  #count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }
}

const FRAMINGS: Readonly<Record<string, () => Framing>> = {
  lines,
  contentLength,
  prefix: () => lengthPrefix({ prefix: 4 }),
};

async function converse(seed: number, framing: string, order: 'any' | 'given', size: number): Promise<Conversation> {
  const usesIds = order === 'any';
  const conversation = new Conversation(randomOf(seed), usesIds);
  const { protocol, hooks, faults } = conversation;
  const options = {
    ...hooks,
    protocol,
    framing: FRAMINGS[framing]!(),
    maxInFlight: usesIds ? 8 : 3,
    maxRestarts: 100_000,
    backoff: { minMs: 0, maxMs: 1 },
    forceKillAfterMs: 100,
  } satisfies PortPoolOptions<Said, string, string>;
  const args = [program('converse.pl'), framing, order];
  const port: Conversing =
    size === 1
      ? new Port<Said, string, string>('perl', args, options)
      : new PortPool<Said, string, string>('perl', args, { ...options, size });
  conversation.watch(port);
  let left = REQUESTS;
  await Promise.all(Array.from({ length: CALLERS }, () => conversation.call(port, () => left-- > 0)));
  await collectGarbage();
  const kept = conversation.promises.filter((promise) => promise.deref() !== undefined).length;
  if (kept > MAX_KEPT) faults.push(`${kept} requests are kept that were settled`);
  // what its start asks for is pending too
  await port.start();
  await port.close();
  if (port.pending !== 0 || port.queued !== 0) faults.push(`pending ${port.pending}, queued ${port.queued}`);
  for (const pid of conversation.pids) if (isAlive(pid)) faults.push(`child ${pid} is still there`);
  return conversation;
}

describe('Port and PortPool in conversation', function () {
  // A seed of a run that failed: CONVERSATION_SEED=… npm test
  const seed = Number(process.env['CONVERSATION_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

  before(function () {
    requirePrograms(this, 'perl');
  });

  type Kind = readonly [framing: string, order: 'any' | 'given', size: number];
  const some: readonly Kind[] = [
    ['lines', 'any', 3],
    ['lines', 'given', 1],
  ];
  const others: readonly Kind[] = [
    ['prefix', 'any', 1],
    ['contentLength', 'given', 3],
    ['lines', 'any', 1],
    ['contentLength', 'any', 1],
    ['contentLength', 'any', 3],
    ['prefix', 'any', 3],
  ];
  for (const [framing, order, size] of [...some, ...stressed(others, [])]) {
    const children = size === 1 ? 'one child' : `a pool of ${size}`;
    const replies = order === 'any' ? 'replies in any order' : 'replies in order';
    it(`settle each request once, with its own reply or an honest error: ${framing}, ${replies}, ${children}`, async () => {
      const { faults, tally, pids } = await converse(seed, framing, order, size);
      if (process.env['CONVERSATION_TALLY'] !== undefined) console.log(JSON.stringify({ ...tally, pids: pids.size }));
      expect(faults.slice(0, 10), `CONVERSATION_SEED=${seed}`).to.deep.equal([]);
      // and it was no idle run
      const byId = order === 'any' ? ['progress', 'callback', ...stressed(['cancel'], [])] : [];
      const always = ['reply', 'refused', 'seen', 'about', 'call', 'ABORT_ERR', 'start'];
      expect(tally, `CONVERSATION_SEED=${seed}`).to.include.all.keys(
        ...always,
        ...byId,
        ...(size === 1 ? ['noted'] : []),
      );
      expect(pids.size).to.be.above(3);
    });
  }
});
