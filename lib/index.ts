/** The public names: the table of contents. */
export { PortDuplex } from './duplex/port-duplex';
export type { PortDuplexOptions } from './duplex/port-duplex-options';
export { AbortError, ExitError, InputClosedError, RexPortError, SpawnError, TimeoutError } from './errors';
export type { FrameFormat } from './framing/format';
export { FrameParser, type FrameParserOptions } from './framing/frame-parser';
export { encodeFrame, type Message } from './framing/frame-writer';
export {
  BadLengthError,
  FrameTruncatedError,
  InvalidMessageError,
  MessageTooLargeError,
} from './framing/framing-errors';
export { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './framing/length-prefix-decoder';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './framing/length-prefix-encoder';
export type { ExitStatus } from './process/exit-status';
