import { refuseUnknown } from '../options';
import { CODEC_KEYS } from './codec';
import { prefixOf } from './format';
import { FrameDecoder, type FrameDecoderOptions } from './frame-decoder';
import { FRAME_PARSER_KEYS, FrameParser, type FrameParserOptions } from './frame-parser';
import { FrameWriter } from './frame-writer';

/** What `new LengthPrefixDecoder(options)` takes. All have a default. */
export interface LengthPrefixDecoderOptions extends FrameParserOptions, FrameDecoderOptions {}

const OPTION_KEYS = [
  ...FRAME_PARSER_KEYS,
  ...CODEC_KEYS,
] as const satisfies readonly (keyof LengthPrefixDecoderOptions)[];

/**
 * Bytes in, cut anywhere; messages out, one Buffer each, the empty one too. The readable side is in object mode, so that
 * the messages stay apart for every kind of reader; after `setEncoding` each is a string.
 *
 * A message is a view on the chunk it came in, unless it was split over several or `copy` is true.
 *
 * A length that is too large (MessageTooLargeError) or none (BadLengthError), or an end inside a frame
 * (FrameTruncatedError), destroys the decoder, but not before a reader that asks for more has been given all messages
 * that were complete.
 */
export class LengthPrefixDecoder extends FrameDecoder {
  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(options: LengthPrefixDecoderOptions = {}) {
    refuseUnknown('LengthPrefixDecoder', options, OPTION_KEYS);
    const { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal, copy, ...format } = options;
    const prefix = prefixOf('LengthPrefixDecoder', format);
    const framing = { parser: () => new FrameParser({ copy }, prefix), writer: () => new FrameWriter({}, prefix) };
    super(framing, { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal });
  }
}
