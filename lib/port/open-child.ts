/** What may stand in the place of a program, behind an option that is not for users: see rexport/testing. */
import type { Duplex } from 'node:stream';
import type { FrameFormat } from '../framing/format';

/** What a session asks of a PortDuplex, or of what stands in for one: the stream, its events, how it ended. */
export interface OpenedChild extends Duplex {
  readonly pid: number | undefined;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  readonly bytesWritten: number | undefined;
  readonly bytesRead: number | undefined;
  readonly bytesDropped: number | undefined;
}

export type OpenChild = (settings: { readonly command: string; readonly format: FrameFormat }) => OpenedChild;

/** The option's key. */
export const OPEN_CHILD = Symbol('rexport.open-child');
