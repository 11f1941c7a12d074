import { expect } from 'chai';
import { contentLength, type ContentLengthOptions } from '../../lib/framing/content-length';
import { FrameDecoder } from '../../lib/framing/frame-decoder';
import { cutEvery, thrownBy } from '../support/frames';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

function read(text: string, options?: ContentLengthOptions, chunkBytes = Math.max(1, text.length)): string[] {
  const parser = contentLength(options).parser();
  const got: string[] = [];
  for (const chunk of cutEvery(Buffer.from(text, 'latin1'), chunkBytes)) {
    parser.write(chunk);
    for (let one = parser.next(); one !== undefined; one = parser.next()) got.push(one.toString('latin1'));
  }
  parser.end();
  return got;
}

describe('contentLength()', () => {
  it('writes the header block of language servers', () => {
    const writer = contentLength().writer();
    writer.write('{"é":1}');
    writer.write('');
    expect(Buffer.concat(writer.take()).toString()).to.equal(
      'Content-Length: 8\r\n\r\n{"é":1}Content-Length: 0\r\n\r\n',
    );
  });

  for (const chunkBytes of [1, 2, 7, 1000]) {
    it(`reads it in chunks of ${chunkBytes}, with other headers, in any case, in any order`, () => {
      const text =
        'Content-Length: 2\r\n\r\nab' +
        'Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:3\r\n\r\n\r\n\r' +
        'CONTENT-LENGTH:   0  \r\nX-Other:\r\n\r\n';
      expect(read(text, {}, chunkBytes)).to.deep.equal(['ab', '\r\n\r', '']);
    });
  }

  const bad: [title: string, text: string, message: string][] = [
    [
      'a line that is printed, as soon as it has come',
      'starting up\n',
      'the frame at byte 0 has a line in its header block that is no header; its first bytes read "starting up\\n": did the program print to stdout?',
    ],
    ['a printed line that looks like a header', 'Warning: old\n', 'a line in its header block that is no header'],
    ['a line with spaces before the colon', 'two words: 1\r\n', 'a line in its header block that is no header'],
    ['a block that says no length', 'X-Other: 1\r\n\r\n', 'a header block without Content-Length'],
    ['an empty block', '\r\n', 'a header block without Content-Length'],
    ['a length that is no number', 'Content-Length: many\r\n', 'a Content-Length that is no number'],
    ['a negative length', 'Content-Length: -1\r\n', 'a Content-Length that is no number'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n', 'two Content-Lengths'],
    ['a length of 2^53', 'Content-Length: 9007199254740992\r\n', 'a length of 2^53 bytes or more'],
    ['a block without an end', `X: ${'x'.repeat(9000)}`, 'a header block of more than 8192 bytes'],
    ['HTTP', 'HTTP/1.1 200 OK\r\n', 'which is HTTP'],
  ];
  for (const [title, text, message] of bad) {
    for (const chunkBytes of stressed([1, 5, 10_000], [5, 10_000])) {
      it(`refuses ${title}, in chunks of ${chunkBytes}, and goes on refusing`, () => {
        const parser = contentLength().parser();
        const error = thrownBy(() => {
          for (const chunk of cutEvery(Buffer.from(text), chunkBytes)) {
            parser.write(chunk);
            parser.next();
          }
        });
        expect(error).to.have.property('code', 'ERR_REXPORT_BAD_LENGTH');
        expect((error as Error).message).to.include(message);
        expect(thrownBy(() => parser.next())).to.equal(error);
      });
    }
  }

  it('refuses a message above the limit at the end of its header block, before any byte of it', () => {
    expect(
      thrownBy(() => read('Content-Length: 1\r\n\r\naContent-Length: 11\r\n\r\n', { maxMessageBytes: 10 }, 1)),
    ).to.include({
      code: 'ERR_REXPORT_MESSAGE_TOO_LARGE',
      messageBytes: 11,
      maxMessageBytes: 10,
      offset: 22,
    });
  });

  it('says where the input ended: in the header block or in the message', () => {
    expect(thrownBy(() => read('Content-Length: 1\r\n\r\naContent-Le'))).to.deep.include({
      code: 'ERR_REXPORT_FRAME_TRUNCATED',
      phase: 'header',
      offset: 22,
      message: 'the input ended inside the frame at byte 22: 10 of 11 bytes of its header block had come',
    });
    expect(thrownBy(() => read('Content-Length: 5\r\n\r\nab'))).to.include({
      phase: 'body',
      receivedBytes: 2,
      expectedBytes: 5,
      offset: 0,
    });
  });

  it('gives the messages before a print, through the decoder', async () => {
    const decoder = new FrameDecoder(contentLength());
    decoder.write('Content-Length: 2\r\n\r\nokTraceback (most recent call last):\n');
    const got: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const message of decoder) got.push(String(message));
      })(),
    );
    expect(got).to.deep.equal(['ok']);
    expect(error.message).to.include('its first bytes read "Traceback (most recent call last"');
  });

  it('refuses options that it does not have', () => {
    expect(() => contentLength({ maxHeaderBytes: 1 } as object)).to.throw(TypeError, '`maxHeaderBytes`');
    expect(() => contentLength({ maxMessageBytes: 1.5 })).to.throw(RangeError, '`maxMessageBytes`');
  });
});
