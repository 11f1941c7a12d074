import { PassThrough, Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { encodeFrame, FrameParser, servePort, type Message } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { repeat, stressed } from '../support/stress';
import { randomOf } from '../support/random';

const MOST_TURNS = 2000;

/** One servePort, and a handler, an onError and listeners that call back into all that they can reach. */
class Meddlers {
  readonly sent: string[] = [];
  /** Messages that had a reply which could be framed, in the order in which the handler had them. */
  readonly begun: string[] = [];
  readonly chunks: Buffer[] = [];
  /** What was done that may end the serving before the end of the input. */
  readonly done = new Set<string>();
  readonly abort = new AbortController();
  readonly input: Readable;
  readonly output: Writable;
  readonly #random: () => number;
  /** Whether an act is likely that ends the serving early. */
  readonly #isRough: boolean;
  readonly #most: number;
  /** Half a frame may be in the input: nothing else goes in. */
  #isFeeding = false;

  constructor(random: () => number) {
    this.#random = random;
    this.#isRough = random() < 0.5;
    this.#most = 1 + Math.floor(random() * 40);
    this.input = random() < 0.5 ? new PassThrough() : new Readable({ read: () => undefined });
    this.output = random() < 0.5 ? this.#passing() : this.#slow();
    this.input.on('error', () => undefined);
    this.output.on('error', () => undefined);
    for (const event of ['pause', 'resume', 'end', 'close']) this.input.on(event, () => this.#meddle());
    for (const event of ['drain', 'finish', 'close', 'pipe']) this.output.on(event, () => this.#meddle());
  }

  /** @returns how the promise settled; undefined where it did not */
  async run(): Promise<'resolved' | Error | undefined> {
    const random = this.#random;
    let outcome: 'resolved' | Error | undefined;
    servePort((message) => this.#handle(message), {
      input: this.input,
      output: this.output,
      signal: this.abort.signal,
      concurrency: 1 + Math.floor(random() * 8),
      onError: random() < 0.5 ? (_error, message) => this.#replace(message) : undefined,
    }).then(
      () => (outcome = 'resolved'),
      (error: Error) => (outcome = error),
    );
    for (let turns = 0; turns < MOST_TURNS && outcome === undefined; turns++) {
      if (random() < 0.6) this.#feed();
      await turn();
      if (turns > 100) this.#endInput();
      // Who pauses the input of another goes on with it, some time.
      if (turns > 100 && this.input.isPaused()) this.input.resume();
    }
    return outcome;
  }

  #passing(): Writable {
    const output = new PassThrough();
    output.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.#meddle();
    });
    return output;
  }

  #slow(): Writable {
    return new Writable({
      highWaterMark: 1 + Math.floor(this.#random() * 100),
      write: (chunk: Buffer, _encoding, callback) => {
        this.chunks.push(chunk);
        this.#meddle();
        if (this.#random() < 0.3) callback();
        else void this.#later().then(() => callback());
      },
    });
  }

  async #later(): Promise<void> {
    for (let turns = Math.floor(this.#random() * 6); turns > 0; turns--) await turn();
  }

  #handle(message: Buffer): Message | Promise<Message> {
    this.begun.push(String(message));
    this.#meddle();
    return this.#answer(message, 0.15);
  }

  #replace(message: Buffer): Message | Promise<Message> {
    this.#meddle();
    return this.#answer(message, this.#isRough ? 0.2 : 0);
  }

  #answer(message: Buffer, failing: number): Message | Promise<Message> {
    const dice = this.#random();
    if (dice < failing / 4) throw new Error('thrown');
    if (dice < failing / 2) return Promise.reject(new Error('rejected'));
    if (dice < (failing * 3) / 4) return undefined as unknown as Message;
    const reply = `reply to ${String(message)}`;
    if (dice < failing) return this.#gone(reply);
    if (dice < 0.5) return reply;
    return this.#later().then(() => {
      this.#meddle();
      return Buffer.from(reply);
    });
  }

  /** A reply whose memory is taken away, at once or before its turn. */
  #gone(text: string): Message {
    const reply = Buffer.from(new ArrayBuffer(text.length));
    reply.write(text);
    const take = (): unknown => structuredClone(reply.buffer, { transfer: [reply.buffer] });
    if (this.#random() < 0.5) take();
    else void this.#later().then(take);
    return reply;
  }

  #feed(): void {
    if (this.sent.length >= this.#most || this.input.destroyed || this.input.readableEnded) return;
    if (this.#isFeeding || this.done.has('end input')) return;
    this.#isFeeding = true;
    const message = `${this.sent.length}`.padEnd(Math.floor(this.#random() * 30), '.');
    this.sent.push(message);
    const frame = encodeFrame(message);
    const at = Math.floor(this.#random() * frame.length);
    for (const part of [frame.subarray(0, at), frame.subarray(at)]) {
      if (part.length === 0) continue;
      if (this.input instanceof PassThrough) this.input.write(part);
      else this.input.push(part);
    }
    this.#isFeeding = false;
  }

  #endInput(): void {
    if (this.#isFeeding || this.done.has('end input') || this.input.destroyed) return;
    this.done.add('end input');
    if (this.input instanceof PassThrough) this.input.end();
    else this.input.push(null);
  }

  #meddle(): void {
    const dice = this.#random();
    if (dice < 0.2) this.#feed();
    else if (dice < 0.22) this.#endInput();
    else if (dice < 0.24) this.input.resume();
    else if (dice < 0.26) this.input.pause();
    else if (this.#isRough && dice < 0.28) this.#act('abort', () => this.abort.abort());
    else if (this.#isRough && dice < 0.285) this.#act('destroy input', () => this.input.destroy());
    else if (this.#isRough && dice < 0.29) this.#act('destroy output', () => this.output.destroy());
    else if (this.#isRough && dice < 0.295) this.#act('fail output', () => this.output.destroy(new Error('failed')));
    else if (this.#isRough && dice < 0.3) this.#act('end output', () => this.output.end());
  }

  #act(what: string, act: () => void): void {
    this.done.add(what);
    act();
  }
}

describe('servePort, whatever its handler, onError and the listeners of its streams call', () => {
  it('settles, answers in order, cuts no reply and loses none: at random, seeded', async function () {
    this.timeout(stressed(300_000, 20_000));
    const events = new ProcessEvents();
    const ways = new Map<string, number>();
    await repeat(stressed(4000, 60), 1, async (seed) => {
      const meddlers = new Meddlers(randomOf(seed));
      const outcome = await meddlers.run();
      const title = `seed ${seed}, ${[...meddlers.done].join(', ')}`;
      expect(outcome, title).to.not.equal(undefined);
      // What has come is whole, and in the order of the messages, without a gap.
      const parser = new FrameParser();
      parser.write(Buffer.concat(meddlers.chunks));
      const replies: string[] = [];
      for (let reply = parser.next(); reply !== undefined; reply = parser.next()) replies.push(String(reply));
      const isCut = ['destroy output', 'fail output'].some((act) => meddlers.done.has(act));
      if (!isCut) parser.end();
      expect(meddlers.begun, title).to.deep.equal(meddlers.sent.slice(0, meddlers.begun.length));
      expect(replies, title).to.deep.equal(
        meddlers.sent.slice(0, replies.length).map((message) => `reply to ${message}`),
      );
      const isRough = [...meddlers.done].some((act) => act !== 'end input');
      if (outcome === 'resolved' && !isRough) expect(replies.length, title).to.equal(meddlers.sent.length);
      if (outcome === 'resolved' && meddlers.done.has('abort') && !isCut && !meddlers.done.has('end output')) {
        expect(replies.length, title).to.equal(meddlers.begun.length);
      }
      const way = outcome === 'resolved' ? 'resolved' : outcome!.message.split(' ')[0]!;
      ways.set(way, (ways.get(way) ?? 0) + 1);
    });
    expect(await events.stop()).to.deep.equal([]);
    // the runs are not all of one kind
    expect([...ways.keys()]).to.include.members(['resolved', 'thrown', 'rejected', 'expected', 'failed']);
  });
});
