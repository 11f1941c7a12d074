/** The NATS client: optional peer dependencies, so that only a program that uses a queue has them. */
import type * as JetStream from '@nats-io/jetstream';
import type * as Nats from '@nats-io/transport-node';

export type { ConsumerInfo, JetStreamManager } from '@nats-io/jetstream';
export type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node';

const PACKAGES = '@nats-io/transport-node @nats-io/jetstream';

function load(name: string): unknown {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import could not say what to install
    return require(name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    const sentence = `rexport/jetstream needs the package ${name}, which is not installed: npm install ${PACKAGES}`;
    throw Object.assign(new Error(sentence, { cause }), { code: 'MODULE_NOT_FOUND' });
  }
}

export const {
  headers,
  createInbox,
  nanos,
  TimeoutError: NatsTimeoutError,
} = load('@nats-io/transport-node') as typeof Nats;
export const { jetstreamManager, JetStreamApiError } = load('@nats-io/jetstream') as typeof JetStream;
