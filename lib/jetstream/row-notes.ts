import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { HeldMessage } from './held-message';
import { AGAIN_AFTER_MS, type Link } from './link';
import { NatsTimeoutError, type Subscription } from './peers';
import type { Publisher } from './publisher';
import type { QueueStreams } from './queue-streams';
import { labelled, labelOf } from './wire';

/** A worker that says nothing for this long is there and has no CPU: where there is none the server says so at once. */
const SILENT_MS = 500;

const HELD = 'held';
const NOT_HELD = 'not held';

interface Note {
  /** How often it was tried and failed by itself. */
  readonly failures: number;
  /** Where its worker can be asked, while it runs alone. */
  readonly aloneAt?: string | undefined;
}

/**
 * What the workers of a queue tell each other about one row, in a note at the server. The count of deliveries is no proof
 * against a row: a worker that has no CPU, or none that begins it, is given it many times, and so it is where a connection
 * is cut (server 2.9).
 */
export class RowNotes {
  readonly #link: Link;
  readonly #streams: QueueStreams;
  readonly #publisher: Publisher;
  readonly #aloneAt: string;
  readonly #subscription: Subscription;

  /** @param runsAlone whether this row of this run is the one that runs alone here */
  constructor(
    link: Link,
    streams: QueueStreams,
    publisher: Publisher,
    runsAlone: (run: string, row: number) => boolean,
  ) {
    this.#link = link;
    this.#streams = streams;
    this.#publisher = publisher;
    this.#aloneAt = streams.workerOf(randomBytes(8).toString('hex'));
    this.#subscription = link.connection.subscribe(this.#aloneAt, {
      callback: (error, message) => {
        const label = error === null ? labelOf(message.headers) : undefined;
        if (label !== undefined) link.send(message.reply ?? '', runsAlone(label.run, label.first) ? HELD : NOT_HELD);
      },
    });
  }

  /** One more failure of its own. @returns how many there are */
  async countFailure(message: HeldMessage, index: number): Promise<number> {
    const isFirst = message.deliveries === 1 && (message.label.tried ?? 0) === 0;
    const failures = (isFirst ? 0 : (await this.#read(message, index)).failures) + 1;
    await this.#write(message, { failures }, index);
    return failures;
  }

  /**
   * Whether it ran alone before, and what became of that.
   * - `untried`: it did not, or that came to an end.
   * - `running`: its worker is there, as far as can be known.
   * - `lost`: its worker is gone.
   */
  async trialOf(message: HeldMessage): Promise<'untried' | 'running' | 'lost'> {
    const { aloneAt } = await this.#read(message);
    if (aloneAt === undefined || aloneAt === this.#aloneAt) return 'untried';
    if (this.#link.state !== 'up') return 'running';
    const { run, first, id } = message.label;
    try {
      const question = { timeout: SILENT_MS, headers: labelled({ first, run, id }) };
      const answer = await this.#link.connection.request(aloneAt, undefined, question);
      return answer.string() === HELD ? 'running' : 'untried';
    } catch (error) {
      return error instanceof NatsTimeoutError || !this.#isUp() ? 'running' : 'lost';
    }
  }

  /** From now on it runs here, and nothing else does. */
  async beginAlone(message: HeldMessage): Promise<void> {
    const { failures } = await this.#read(message);
    await this.#write(message, { failures, aloneAt: this.#aloneAt });
  }

  /** It does not run here. */
  async endAlone(message: HeldMessage): Promise<void> {
    const { failures } = await this.#read(message);
    await this.#write(message, { failures });
  }

  close(): void {
    if (this.#link.state !== 'closed') this.#subscription.unsubscribe();
  }

  #isUp(): boolean {
    return this.#link.state === 'up';
  }

  async #read({ job, label }: HeldMessage, index = 0): Promise<Note> {
    const subject = this.#streams.trialOf(job, label.first + index);
    for (;;) {
      try {
        const { streams } = await this.#link.admin();
        const stored = await streams.getMessage(this.#streams.replies, { last_by_subj: subject });
        const note = labelOf(stored?.header);
        if (note?.run !== label.run) return { failures: 0 };
        return { failures: note.tried ?? 0, aloneAt: note.aloneAt };
      } catch (error) {
        if (this.#link.state === 'closed') throw error;
        // The server is away, or has lost the stream.
        await delay(AGAIN_AFTER_MS);
      }
    }
  }

  async #write({ job, label: { first, run } }: HeldMessage, { failures, aloneAt }: Note, index = 0): Promise<void> {
    const row = first + index;
    // An id of its own: a note is never the double of another.
    const id = `${run}:${row}:${randomBytes(6).toString('hex')}`;
    const note = labelled({ first: row, run, id, tried: failures, aloneAt });
    await this.#publisher.publish(this.#streams.trialOf(job, row), Buffer.alloc(0), note);
  }
}
