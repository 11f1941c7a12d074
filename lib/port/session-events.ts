/** What a session is told, and what it tells. */
import type { PortDuplexOptions } from '../duplex/port-duplex-options';
import type { FrameFormat } from '../framing/format';
import type { ExitStatus } from '../process/exit-status';
import type { OpenChild } from './open-child';
import type { Request } from './request';

export interface SessionSettings {
  readonly command: string;
  readonly args: readonly string[];
  readonly spawnOptions: PortDuplexOptions;
  readonly format: FrameFormat;
  readonly successCodes: readonly number[];
  readonly maxInFlight: number;
  readonly closeTimeoutMs: number;
  /** How long a child that closed one of its pipes is given to exit, so that it can be said how it ended. */
  readonly farewellMs: number;
  /** Default: the program is spawned. */
  readonly open?: OpenChild | undefined;
}

/**
 * Why a session takes no more: the child died by itself, it broke the protocol and was ended for that, or it was ended
 * on our account, which is no crash.
 */
export type EndKind = 'died' | 'misbehaved' | 'ended';

export interface SessionEnd {
  readonly kind: EndKind;
  readonly error: Error;
  /** The exit was one of the success codes. */
  readonly isSuccess: boolean;
  readonly uptimeMs: number;
  readonly hasAnswered: boolean;
  /** Requests that the child may have seen, in order; and those that it has not. Nobody holds them now. */
  readonly written: readonly Request[];
  readonly unwritten: readonly Request[];
}

export interface SessionEvents {
  spawned(): void;
  /** There is room for more requests; `replies` came. */
  progressed(replies: number): void;
  unexpected(message: Buffer): void;
  exited(status: ExitStatus): void;
  /** Once: the session takes no more. The child may still be on its way out. */
  ended(end: SessionEnd): void;
}
