import { refuseUnknown } from '../options';
import { CODEC_KEYS } from './codec';
import { FRAME_FORMAT_KEYS, type FrameFormat, prefixOf } from './format';
import { FrameEncoder, type FrameEncoderOptions } from './frame-encoder';
import { FrameParser } from './frame-parser';
import { FrameWriter } from './frame-writer';

/** What `new LengthPrefixEncoder(options)` takes. All have a default. */
export interface LengthPrefixEncoderOptions extends FrameFormat, FrameEncoderOptions {}

const OPTION_KEYS = [
  ...FRAME_FORMAT_KEYS,
  ...CODEC_KEYS,
] as const satisfies readonly (keyof LengthPrefixEncoderOptions)[];

/**
 * Messages in, frames out: one `write`, one message, the empty one too. Takes strings, Buffers and any other view.
 *
 * The messages of one tick leave together, in chunks of up to 144 KiB. A message of at most 16 KiB is copied at once; a
 * longer one is not, and must not change after `write`.
 *
 * A message that is too long (MessageTooLargeError) or no bytes at all (InvalidMessageError) destroys the encoder:
 * nothing of it is sent, and of the messages before it each is sent whole or not at all. The error then waits for a
 * reader that was given a part of them. Only `null` throws, as everywhere in Node.
 */
export class LengthPrefixEncoder extends FrameEncoder {
  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(options: LengthPrefixEncoderOptions = {}) {
    refuseUnknown('LengthPrefixEncoder', options, OPTION_KEYS);
    const { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal, ...format } = options;
    const prefix = prefixOf('LengthPrefixEncoder', format);
    const framing = { parser: () => new FrameParser({}, prefix), writer: () => new FrameWriter({}, prefix) };
    super(framing, { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal });
  }
}
