/** The public names of `rexport/jetstream`: a PortPool on every machine. */
export { PortQueue, type PortQueueOptions, type QueueRequestOptions } from './jetstream/port-queue';
export { DeadLetterError, QueueClosedError } from './jetstream/queue-errors';
export type { QueueStatistics } from './jetstream/queue-statistics';
export type { QueueStreamOptions } from './jetstream/queue-streams';
export type { QueueTransform, QueueTransformOptions } from './jetstream/queue-transform';
export type { ServedPool } from './jetstream/queue-worker';
export { serveQueue, type ServeQueueOptions } from './jetstream/serve-queue';
