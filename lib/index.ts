/** The public names: the table of contents. */
export {
  servePort,
  type MessageContext,
  type MessageHandler,
  type ServePortOptions,
  type UnorderedMessageHandler,
  type UnorderedServePortOptions,
} from './child/serve-port';
export { PortDuplex, type PortDuplexEvents } from './duplex/port-duplex';
export type { PortDuplexOptions } from './duplex/port-duplex-options';
export { AbortError, ExitError, InputClosedError, RexPortError, SpawnError, TimeoutError } from './errors';
export type { FrameFormat } from './framing/format';
export { FrameParser, type FrameParserOptions } from './framing/frame-parser';
export { encodeFrame, lengthPrefix } from './framing/length-prefix';
export type { Framing, FramingParser, FramingWriter, Message } from './framing/framing';
export { contentLength, type ContentLengthOptions } from './framing/content-length';
export { FrameDecoder, type FrameDecoderOptions } from './framing/frame-decoder';
export { FrameEncoder, type FrameEncoderOptions } from './framing/frame-encoder';
export { lines, type LinesOptions } from './framing/lines';
export {
  BadLengthError,
  FrameTruncatedError,
  InvalidMessageError,
  MessageTooLargeError,
} from './framing/framing-errors';
export { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './framing/length-prefix-decoder';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './framing/length-prefix-encoder';
export type { ExitStatus } from './process/exit-status';
export { json, jsonRpc, JsonRpcError, type JsonRpcMessage, type JsonRpcOptions } from './port/json';
export { Port, PortPool } from './port/port';
export { BrokenError, ClosedError, PoisonError, QueueFullError, UnexpectedReplyError } from './port/port-errors';
export type { Generation, PortEvents, Restart } from './port/port-events';
export type { Codec, PortOptions, PortPoolOptions } from './port/port-options';
export type { PortState } from './port/pool';
export { incoming, type ChildHooks, type Incoming, type PortChild, type Protocol } from './port/protocol';
export type { RequestOptions } from './port/request';
export type { RequestTransform, TransformOptions } from './port/request-transform';
export type { Distribution, Figures, LaneState, LaneStatistics, PortStatistics } from './port/statistics';
