import type { Link, LinkListener } from './link';
import { nanos, type Msg, type Subscription } from './peers';

/** A message of a stream, as its consumer was given it. */
export interface Delivery {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Msg['headers'];
  /** Where an acknowledgement goes. */
  readonly reply: string;
  /** How often it was delivered, from 1. */
  readonly deliveries: number;
  readonly streamSeq: number;
  /** Counts what this consumer was given, from 1. */
  readonly consumerSeq: number;
  /** How many messages the consumer has left. */
  readonly pending: number;
}

/** What the server is asked for, and where it is to send that. */
export interface Order {
  readonly payload: string;
  readonly reply: string;
}

export interface PullOwner {
  delivered(delivery: Delivery): void;
  /** Some of what was asked for will not come: ask again for what there is room for. */
  lapsed(): void;
  /** The server has nothing more at the moment. */
  idle?(): void;
  /** The consumer or its stream is not there, or the server was away: nothing is asked for any more. */
  lost(): void;
}

const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 1000;
/** This long without a word, while messages are asked for, means that the server has forgotten us. */
const SILENCE_MS = 3500;
const LOOK_EVERY_MS = 500;

const HEARTBEAT = 100;
const NO_MESSAGES = 404;
const TIMED_OUT = 408;

/**
 * Messages by credit: the server sends exactly as many as were asked for, and what it sends is handed over at once.
 * (`consume()` of the client asks by itself while its callback still works; `fetch()` makes a subscription each time.)
 */
export class Pull implements LinkListener {
  readonly #link: Link;
  readonly #owner: PullOwner;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #next = '';
  #inbox = '';
  #subscription: Subscription;
  /** Asks of an earlier generation are forgotten: what is said about them counts no more. */
  #generation = 0;
  #outstanding = 0;
  #heardAt = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(link: Link, owner: PullOwner) {
    this.#link = link;
    this.#owner = owner;
    this.#subscription = this.#subscribe();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    link.add(this);
  }

  /** Messages that were asked for and have not come. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Of which consumer; forgets what was asked of another. */
  open(stream: string, consumer: string): void {
    this.#next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#forget();
  }

  ask(messages: number): void {
    if (messages <= 0) return;
    const order = this.order(messages);
    if (order !== undefined) this.#link.send(this.#next, order.payload, { reply: order.reply });
  }

  /** The same for its sender, with an acknowledgement. @returns undefined where nothing can be asked for */
  order(messages: number): Order | undefined {
    if (this.#state !== 'open' || this.#link.state !== 'up') return undefined;
    if (this.#outstanding === 0) this.#heardAt = performance.now();
    this.#outstanding += messages;
    const terms = { batch: messages, expires: nanos(EXPIRES_MS), idle_heartbeat: nanos(HEARTBEAT_MS) };
    return { payload: JSON.stringify(terms), reply: `${this.#inbox}.${this.#generation}` };
  }

  /** Asks for no more. Resolves when all that the server has sent was handed over. */
  async drain(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    if (this.#link.state === 'up') await this.#subscription.drain().catch(() => {});
    this.close();
  }

  /** What comes from now on is nobody's. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearInterval(this.#timer);
    this.#link.delete(this);
    if (this.#link.state !== 'closed') this.#subscription.unsubscribe();
  }

  reconnected(): void {
    this.#lose();
  }

  closed(): void {
    this.#forget();
  }

  #subscribe(): Subscription {
    this.#inbox = this.#link.newInbox();
    return this.#link.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
  }

  #receive(message: Msg): void {
    if (this.#state === 'closed') return;
    this.#heardAt = performance.now();
    if (!message.subject.startsWith(this.#inbox)) {
      this.#outstanding = Math.max(0, this.#outstanding - 1);
      this.#owner.delivered(deliveryOf(message));
      return;
    }
    if (message.subject !== `${this.#inbox}.${this.#generation}`) return;
    switch (message.headers?.code) {
      case HEARTBEAT:
        this.#owner.idle?.();
        return;
      case NO_MESSAGES:
      case TIMED_OUT:
        this.#outstanding = Math.max(0, this.#outstanding - Number(message.headers.get('Nats-Pending-Messages') || 1));
        if (this.#state === 'open') this.#owner.lapsed();
        return;
      default:
        this.#lose();
    }
  }

  #look(): void {
    if (this.#outstanding === 0 || this.#link.state !== 'up') return;
    if (performance.now() - this.#heardAt < SILENCE_MS) return;
    // The server may still hold what was asked for: without the subscription it drops that.
    this.#subscription.unsubscribe();
    this.#subscription = this.#subscribe();
    this.#lose();
  }

  #lose(): void {
    this.#forget();
    if (this.#state === 'open') this.#owner.lost();
  }

  #forget(): void {
    this.#generation += 1;
    this.#outstanding = 0;
  }
}

/** `$JS.ACK.STREAM.CONSUMER.DELIVERIES.STREAMSEQ.CONSUMERSEQ.TIME.PENDING`; newer servers put a domain and an account before the stream. */
function deliveryOf(message: Msg): Delivery {
  const { subject, data, headers, reply = '' } = message;
  const tokens = reply.split('.');
  const [deliveries, streamSeq, consumerSeq, , pending] = tokens.slice(tokens.length === 9 ? 4 : 6).map(Number);
  return {
    subject,
    data,
    headers,
    reply,
    deliveries: deliveries ?? 1,
    streamSeq: streamSeq ?? 0,
    consumerSeq: consumerSeq ?? 0,
    pending: pending ?? 0,
  };
}
