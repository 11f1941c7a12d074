export { RexPortError } from './errors';
export { BadLengthError, FrameTruncatedError, InvalidMessageError, MessageTooLargeError } from './framing/framing-errors';
export type { FrameFormat } from './framing/format';
export { FrameParser, type FrameParserOptions } from './framing/frame-parser';
export { encodeFrame, FrameWriter, type Message } from './framing/frame-writer';
export { LengthPrefixDecoder, type LengthPrefixDecoderOptions } from './framing/length-prefix-decoder';
export { LengthPrefixEncoder, type LengthPrefixEncoderOptions } from './framing/length-prefix-encoder';
