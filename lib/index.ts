/** The public names: the table of contents. */
export { PortDuplex } from './duplex/port-duplex';
export type { PortDuplexOptions } from './duplex/port-duplex-options';
export { AbortError, ExitError, InputClosedError, RexPortError, SpawnError, TimeoutError } from './errors';
export type { ExitStatus } from './process/exit-status';
