import { expect } from 'chai';
import { FrameDecoder } from '../../lib/framing/frame-decoder';
import { FrameEncoder } from '../../lib/framing/frame-encoder';
import { lines, type LinesOptions } from '../../lib/framing/lines';
import { cutEvery, thrownBy } from '../support/frames';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

function read(text: string, options?: LinesOptions, chunkBytes = text.length): string[] {
  const parser = lines(options).parser();
  const got: string[] = [];
  const all = (): void => {
    for (let one = parser.next(); one !== undefined; one = parser.next()) got.push(String(one));
  };
  for (const chunk of cutEvery(Buffer.from(text), chunkBytes)) {
    parser.write(chunk);
    all();
  }
  parser.end();
  all();
  return got;
}

function written(messages: readonly string[], options?: LinesOptions): string {
  const writer = lines(options).writer();
  for (const message of messages) writer.write(message);
  return Buffer.concat(writer.take()).toString();
}

describe('lines()', () => {
  it('gives each line without its end, the empty ones too', () => {
    expect(read('a\n\nbc\n')).to.deep.equal(['a', '', 'bc']);
    expect(written(['a', '', 'bc'])).to.equal('a\n\nbc\n');
  });

  it('takes one CR off before the LF, however the bytes are cut, and leaves those inside', () => {
    for (const chunkBytes of [1, 2, 3, 100]) {
      expect(read('a\r\n\r\nb\rc\r\r\n', {}, chunkBytes)).to.deep.equal(['a', '', 'b\rc\r']);
    }
  });

  it('takes no CR off before a delimiter of yours', () => {
    expect(read('a\r\0b\0', { delimiter: '\0' })).to.deep.equal(['a\r', 'b']);
  });

  it('finds a delimiter of several bytes that is cut anywhere, and the first of two that overlap', () => {
    for (const chunkBytes of [1, 2, 3, 4, 5, 100]) {
      expect(read('xab-ab--aab--ab--', { delimiter: 'ab--' }, chunkBytes)).to.deep.equal(['xab-', 'a', '']);
      expect(read('a\n\n\nb\n\n', { delimiter: '\n\n' }, chunkBytes)).to.deep.equal(['a', '\nb']);
    }
  });

  it('writes another delimiter than it reads: a message may have lines where the program ends its input with NUL', () => {
    const options = { delimiter: '\n', writeDelimiter: '\0' };
    expect(written(['two\nlines', 'x'], options)).to.equal('two\nlines\0x\0');
    expect(read('0\0answer\n', options)).to.deep.equal(['0\0answer']);
  });

  it('refuses a message with the delimiter that is written in it, and is as good as before', () => {
    const writer = lines().writer();
    writer.write('good');
    expect(thrownBy(() => writer.write('a\nb'))).to.deep.include({
      code: 'ERR_REXPORT_INVALID_MESSAGE',
      message: 'expected a message without the delimiter "\\n", got a string with one that begins at byte 1',
    });
    expect(() => writer.write(Buffer.from('\n'))).to.throw('got a Buffer with one that begins at byte 0');
    expect(() => writer.write(new DataView(Uint8Array.of(10).buffer))).to.throw('at byte 0');
    writer.write('too');
    expect(Buffer.concat(writer.take()).toString()).to.equal('good\ntoo\n');
  });

  it('refuses a message whose end would make the delimiter begin earlier', () => {
    expect(() => written(['x\n'], { delimiter: '\n\n' })).to.throw(
      'without the delimiter "\\n\\n", got a string with one that begins at byte 1',
    );
    expect(() => written(['aba'], { delimiter: 'abab' })).not.to.throw();
    expect(() => written(['xab'], { delimiter: 'abab' })).to.throw('at byte 1');
  });

  it('says what is missing when the input ends inside a line', () => {
    const error = thrownBy(() => read('whole\ncut', {}, 4));
    expect(error).to.deep.include({
      code: 'ERR_REXPORT_FRAME_TRUNCATED',
      phase: 'body',
      receivedBytes: 3,
      expectedBytes: 4,
      offset: 6,
      message: 'the input ended inside the message at byte 6: no "\\n" has come behind its 3 bytes',
    });
  });

  it('takes the last line for a message where asked, and gives none for nothing behind the last delimiter', () => {
    for (const chunkBytes of [1, 3, 100]) {
      expect(read('a\nb', { lastLine: 'message' }, chunkBytes)).to.deep.equal(['a', 'b']);
      expect(read('a\nb\n', { lastLine: 'message' }, chunkBytes)).to.deep.equal(['a', 'b']);
    }
    expect(read('', { lastLine: 'message' })).to.deep.equal([]);
  });

  it('gives the last line through the decoder, also to a slow reader', async () => {
    const decoder = new FrameDecoder(lines({ lastLine: 'message' }), { readableHighWaterMark: 1 });
    decoder.end('one\ntwo\nthree');
    expect((await decoder.toArray()).map(String)).to.deep.equal(['one', 'two', 'three']);
  });

  it('refuses a line without an end before it is held, quotes its beginning, and gives what was before it', async () => {
    const decoder = new FrameDecoder(lines({ maxMessageBytes: 5 }));
    decoder.write('ok\nWarning: this is no answer');
    const got: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const line of decoder) got.push(String(line));
      })(),
    );
    expect(got).to.deep.equal(['ok']);
    expect(error).to.deep.include({ messageBytes: 6, maxMessageBytes: 5, offset: 3 });
    expect(error.message).to.equal(
      'the message at byte 3 is longer than 5 bytes (`maxMessageBytes`); its first bytes read "Warnin": did the program print to stdout?',
    );
  });

  it('counts neither CR nor delimiter for the limit', () => {
    for (const chunkBytes of [1, 2, 100]) {
      expect(read('abcde\r\nx\n', { maxMessageBytes: 5 }, chunkBytes)).to.deep.equal(['abcde', 'x']);
      expect(() => read('abcdef\r\n', { maxMessageBytes: 5 }, chunkBytes)).to.throw('longer than 5 bytes');
    }
    expect(read('abcde--', { delimiter: '--', maxMessageBytes: 5 }, 1)).to.deep.equal(['abcde']);
    expect(() => written(['abcdef'], { maxMessageBytes: 5 })).to.throw('the message has 6 bytes; the limit');
  });

  it('puts a line together in linear time from tens of thousands of chunks', () => {
    const count = stressed(100_000, 20_000);
    const parser = lines().parser();
    const piece = Buffer.from('0123456789');
    let early = 0;
    for (let i = 0; i < count; i++) {
      parser.write(piece);
      if (parser.next() !== undefined || !parser.isInsideMessage) early += 1;
    }
    expect(early).to.equal(0);
    parser.write(Buffer.from('\n'));
    expect(parser.next()?.length).to.equal(count * piece.length);
    expect(parser.isInsideMessage).to.equal(false);
  });

  it('leaves no delimiter alone in a chunk, also behind a long message', () => {
    const writer = lines().writer();
    writer.write(Buffer.alloc(100_000, 'x'));
    writer.write(Buffer.alloc(50_000, 'y'));
    expect(writer.take().map((chunk) => chunk.length)).to.deep.equal([98_976, 1025, 48_976, 1025]);
  });

  it('takes the encodings of strings', async () => {
    const encoder = new FrameEncoder(lines());
    encoder.write('6869', 'hex');
    encoder.setDefaultEncoding('latin1');
    encoder.end('é');
    expect(Buffer.concat((await encoder.toArray()) as Buffer[]).toString('latin1')).to.equal('hi\né\n');
  });

  const refused: [options: object, message: string][] = [
    [{ delimiter: '' }, "expected `delimiter` to have at least one character, got ''"],
    [{ delimiter: 10 }, 'expected `delimiter` to be a string, got 10'],
    [{ writeDelimiter: /\n/ }, 'expected `writeDelimiter` to be a string, got /\\n/'],
    [{ lastLine: 'drop' }, "expected `lastLine` to be 'error' or 'message', got 'drop'"],
    [{ maxMessageBytes: 0 }, 'expected `maxMessageBytes` to be an integer from 1'],
    [{ separator: ',' }, '`separator`'],
  ];
  for (const [options, message] of refused) {
    it(`refuses ${JSON.stringify(options)}`, () => expect(() => lines(options)).to.throw(message));
  }
});
