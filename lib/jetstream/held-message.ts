import type { Link } from './link';
import { nanos } from './peers';
import type { Delivery, Order } from './pull';
import { labelOf, unframed, type Label } from './wire';

const ACK = '+ACK';
const ACK_AND_NEXT = '+NXT';
const WORKING = '+WPI';
const TERM = '+TERM';

/** A message of rows that this worker was given and has not settled. While it is held, the server gives it to no other. */
export class HeldMessage {
  readonly job: string;
  readonly label: Label;
  readonly rows: readonly Buffer[];
  /** How often the server has given it to a worker, begun or not, this time included. */
  readonly deliveries: number;
  readonly receivedAt = performance.now();
  readonly #link: Link;
  readonly #streamSeq: number;
  #reply: string;
  #isSettled = false;

  private constructor(link: Link, delivery: Delivery, job: string, label: Label, rows: readonly Buffer[]) {
    this.#link = link;
    this.#streamSeq = delivery.streamSeq;
    this.#reply = delivery.reply;
    this.job = job;
    this.label = label;
    this.rows = rows;
    this.deliveries = delivery.deliveries;
  }

  /** @returns undefined for what no PortQueue has sent, which is taken from the queue */
  static from(link: Link, delivery: Delivery, job: string): HeldMessage | undefined {
    const label = labelOf(delivery.headers);
    try {
      if (label !== undefined) return new HeldMessage(link, delivery, job, label, unframed(delivery.data));
    } catch {
      // Not ours either.
    }
    link.send(delivery.reply, TERM);
    return undefined;
  }

  /** The same for two deliveries of one message. A stream that was lost and made again counts from 1 again. */
  get key(): string {
    return `${this.#streamSeq} ${this.label.id}`;
  }

  /** The server has given it to us again, since it heard too late that it is worked on. */
  takeOver({ reply }: Delivery): void {
    this.#reply = reply;
    this.working();
  }

  /** Not to be delivered elsewhere yet. */
  working(): void {
    if (!this.#isSettled) this.#link.send(this.#reply, WORKING);
  }

  /** It is done, and leaves the queue; others may come in its place. */
  acknowledge(next: Order | undefined): void {
    if (next === undefined) this.#settle(ACK);
    else this.#settle(`${ACK_AND_NEXT} ${next.payload}`, next.reply);
  }

  /** It is to be delivered again. */
  giveBack(delayMs: number): void {
    this.#settle(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`);
  }

  #settle(word: string, reply?: string): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#link.send(this.#reply, word, reply === undefined ? undefined : { reply });
  }
}
