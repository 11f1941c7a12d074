import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { LengthPrefixDecoder } from '../../lib/framing/length-prefix-decoder';
import { LengthPrefixEncoder } from '../../lib/framing/length-prefix-encoder';
import { cutAt, frames } from '../support/frames';
import { stressed } from '../support/stress';
import { thrownToProcess } from '../support/thrown';
import { randomOf } from '../support/random';

type Codec = LengthPrefixEncoder | LengthPrefixDecoder;

/** What its users may do in one run. */
interface Mood {
  readonly reads: 'data' | 'readable' | 'iterate';
  readonly throws: boolean;
  readonly destroys: boolean;
}

/** One codec, and users that call it back from every event and every callback. */
class Meddlers {
  readonly outputs: Buffer[] = [];
  readonly called: number[];
  thrown = 0;
  ends = 0;
  isClosed = false;
  #next = 0;
  #depth = 0;
  readonly #random: () => number;

  constructor(
    readonly codec: Codec,
    readonly inputs: readonly Buffer[],
    readonly mood: Mood,
    random: () => number,
  ) {
    this.#random = random;
    this.called = inputs.map(() => 0);
    for (const event of ['drain', 'finish', 'end', 'pause', 'resume', 'prefinish'] as const) {
      codec.on(event, () => this.#meddle());
    }
    codec.once('close', () => {
      this.isClosed = true;
      this.#meddle();
    });
    if (mood.reads === 'data') codec.on('data', (chunk: Buffer) => this.#got(chunk));
    else if (mood.reads === 'readable') codec.on('readable', () => this.#readAll());
    else void this.#iterate();
  }

  /** @returns whether the codec has closed within a number of turns that no run comes near to */
  async run(): Promise<boolean> {
    for (let turns = 0; turns < 3000 && !this.isClosed; turns++) {
      if (this.#random() < 0.7) this.#feed();
      if (this.mood.reads === 'data' && this.codec.isPaused()) this.codec.resume();
      if (this.mood.reads === 'readable' && this.#random() < 0.1) setImmediate(() => this.#readAll());
      while (this.codec.writableCorked > 0) this.codec.uncork();
      await turn();
    }
    await turn();
    return this.isClosed;
  }

  #feed(): void {
    const i = this.#next++;
    if (i < this.inputs.length) {
      this.codec.write(this.inputs[i]!, () => {
        this.called[i]! += 1;
        this.#meddle();
      });
    } else if (i === this.inputs.length) {
      this.codec.end(() => {
        this.ends += 1;
        this.#meddle();
      });
    }
  }

  #got(chunk: Buffer): void {
    // What is put back comes again.
    if (!this.codec.destroyed && this.#random() < 0.05) this.codec.unshift(chunk);
    else this.outputs.push(chunk);
    this.#meddle();
  }

  #readAll(): void {
    for (let chunk = this.#read(); chunk !== null; chunk = this.#read()) {
      this.outputs.push(chunk);
      if (this.#random() < 0.2) this.#meddle();
      if (this.#random() < 0.1) {
        setImmediate(() => this.#readAll());
        return;
      }
    }
    this.#meddle();
  }

  #read(): Buffer | null {
    return this.codec.read() as Buffer | null;
  }

  async #iterate(): Promise<void> {
    try {
      for await (const chunk of this.codec) {
        this.outputs.push(chunk as Buffer);
        try {
          this.#meddle();
        } catch {
          this.thrown -= 1; // that would end the loop, and so the codec
        }
      }
    } catch {
      // it was destroyed
    }
  }

  #meddle(): void {
    if (this.#depth > 3) return;
    this.#depth += 1;
    try {
      for (let times = this.#random() * 3; times > 1; times--) this.#act(Math.floor(this.#random() * 12));
    } finally {
      this.#depth -= 1;
    }
  }

  #act(what: number): void {
    const { codec, mood } = this;
    if (what < 5) this.#feed();
    else if (what === 5 && mood.reads === 'data') codec.pause();
    else if (what === 6 && mood.reads === 'data') codec.resume();
    else if (what === 7) codec.cork();
    else if (what === 8) codec.uncork();
    else if (what === 9 && mood.reads === 'data') codec.read();
    else if (what === 9 && mood.reads === 'readable') this.#readAll();
    else if (what === 10 && mood.destroys && this.#random() < 0.1) codec.destroy();
    else if (what === 11 && mood.throws && this.#random() < 0.5) {
      this.thrown += 1;
      throw new Error('the user’s own');
    } else {
      // To ask changes nothing.
      expect(codec.writableNeedDrain).to.be.a('boolean');
      expect(codec.writableLength).to.be.at.least(0);
    }
  }
}

function someMessages(random: () => number): Buffer[] {
  const isLarge = random() < 0.3;
  return Array.from({ length: 1 + Math.floor(random() * 20) }, (_, i) =>
    Buffer.alloc(isLarge && random() < 0.4 ? Math.floor(random() * 120_000) : Math.floor(random() * 40), i + 65),
  );
}

function randomMood(random: () => number): Mood {
  const reads = (['data', 'readable', 'iterate'] as const)[Math.floor(random() * 3)]!;
  return { reads, throws: random() < 0.5, destroys: random() < 0.2 };
}

function randomMarks(random: () => number): object {
  if (random() < 0.3) return {};
  return {
    readableHighWaterMark: Math.floor(random() * 300),
    writableHighWaterMark: Math.floor(random() * 5000),
  };
}

/** Runs one seed; says what went wrong. */
async function faultOf(kind: 'encoder' | 'decoder', seed: number): Promise<string | undefined> {
  const random = randomOf(seed);
  const messages = someMessages(random);
  const bytes = frames(messages);
  const marks = randomMarks(random);
  const cuts = Array.from({ length: Math.floor(random() * 12) }, () => Math.floor(random() * bytes.length));
  const isEncoder = kind === 'encoder';
  const codec = isEncoder ? new LengthPrefixEncoder(marks) : new LengthPrefixDecoder(marks);
  const inputs = isEncoder ? messages : cutAt(bytes, ...cuts.sort((a, b) => a - b));
  const users = new Meddlers(codec, inputs, randomMood(random), random);
  let hasClosed = false;
  const thrown = await thrownToProcess(async () => void (hasClosed = await users.run()));
  if (!hasClosed) return 'it never closed';
  if (thrown.length !== users.thrown) return `${users.thrown} throws, ${thrown.length} reached the process`;
  const expected = isEncoder ? [bytes] : messages;
  const whole = Buffer.concat(expected);
  const seen = Buffer.concat(users.outputs);
  const wasDestroyed = !codec.readableEnded || !codec.writableFinished;
  if (wasDestroyed && !users.mood.destroys) return 'it ended with no end';
  if (!seen.equals(wasDestroyed ? whole.subarray(0, seen.length) : whole))
    return `${seen.length} of ${whole.length} bytes`;
  if (!isEncoder && !wasDestroyed && users.outputs.some((output, i) => !output.equals(messages[i]!)))
    return 'a message was cut';
  const written = codec.writableEnded || wasDestroyed ? users.called.filter((times) => times > 1).length : 0;
  if (written > 0) return 'a callback was called twice';
  if (!wasDestroyed && users.called.some((times) => times !== 1)) return `callbacks: ${users.called.join()}`;
  return users.ends > 1 || (!wasDestroyed && users.ends !== 1) ? `end called back ${users.ends} times` : undefined;
}

describe('users that call a codec back from every event and callback, and throw in them', () => {
  for (const kind of ['encoder', 'decoder'] as const) {
    it(`never make the ${kind} lose or cut a message, or forget a callback`, async function () {
      const runs = stressed(5000, 25);
      this.timeout(runs * 100);
      const first = Number(process.env['SEED'] ?? 1);
      for (let seed = first; seed < first + runs; seed++) {
        expect(await faultOf(kind, seed), `SEED=${seed}`).to.equal(undefined);
      }
    });
  }
});
