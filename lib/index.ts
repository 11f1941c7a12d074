/** The public names: the table of contents. */
export { PortDuplex } from './duplex/port-duplex';
export type { PortDuplexOptions } from './duplex/port-duplex-options';
export { AbortError, ExitError, InputClosedError, RexPortError, SpawnError, TimeoutError } from './errors';
export type { ExitStatus } from './process/exit-status';
export { json } from './port/json';
export { Port } from './port/port';
export { BrokenError, ClosedError, PoisonError, QueueFullError, UnexpectedReplyError } from './port/port-errors';
