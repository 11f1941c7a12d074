import { expect } from 'chai';
import { RexPortError } from '../../lib/errors';
import { cutEvery, frames, parse, thrownBy } from '../support/frames';

describe('errors that teach', () => {
  const greetings: readonly (readonly [string, number, RegExp])[] = [
    ['GET / HTTP/1.1\r\n', 1195725856, /first bytes read "GET \/ HTTP\/1.1\\r\\n", which is HTTP$/],
    ['POST /x', 1347375956, /first bytes read "POST \/x", which is HTTP$/],
    ['HTTP/1.1 400', 1213486160, /which is HTTP$/],
    ['SSH-2.0-OpenSSH', 1397966893, /first bytes read "SSH-2.0-OpenSSH", an SSH greeting$/],
    ['\x16\x03\x01\x00\xa5', 369295616, /begins like a TLS handshake/],
    ['Traceback (most recent', 1416782179, /"Traceback \(most recent": did the program print to stdout\?$/],
    ['ok\n\x00\x00', 1869285888, /"ok\\n": did the program print to stdout\?$/],
  ];

  for (const [text, length, hint] of greetings) {
    it(`names ${length} bytes and recognises ${JSON.stringify(text)}`, () => {
      const error = thrownBy(() => parse([Buffer.from(text, 'latin1')]));
      expect(error).to.be.an.instanceOf(RexPortError).and.to.include({ messageBytes: length, offset: 0 });
      expect((error as Error).message).to.match(hint);
    });
  }

  it('recognises text whose first bytes came in earlier chunks', () => {
    const chunks = [Buffer.from('ok\n'), frames(['a message'])];
    expect(thrownBy(() => parse(chunks))).to.have.property('message').that.matches(/"ok\\n": did the program print/);
    const bytes = cutEvery(Buffer.from('Hello, world'), 1);
    expect(thrownBy(() => parse(bytes))).to.have.property('message').that.matches(/"Hell": did the program print/);
  });

  it('recognises text in an 8-byte length, which no number can hold', () => {
    const error = thrownBy(() => parse([Buffer.from('HTTP/1.1 200 OK')], { prefix: 8 })) as Error;
    expect(error).to.include({ code: 'ERR_REXPORT_BAD_LENGTH' });
    expect(error.message).to.equal(
      'the frame at byte 0 has a length of 2^53 bytes or more; its first bytes read "HTTP/1.1 200 OK", which is HTTP',
    );
  });

  it('says where in the stream the frame began', () => {
    const chunks = [...cutEvery(frames(['one', 'two', 'three']), 5), Buffer.from('printed\n')];
    const error = thrownBy(() => parse(chunks)) as Error;
    expect(error).to.include({ offset: 23 });
    expect(error.message).to.contain('the frame at byte 23 announces a message of 1886546286 bytes');
    expect(error.message).to.contain('the limit (`maxMessageBytes`) is 67108864');
  });

  it('quotes no binary data', () => {
    const error = thrownBy(() => parse([Buffer.from('ffff4142feff', 'hex')])) as Error;
    expect(error.message).to.match(/is 67108864$/);
  });

  it('carries its class as its name', () => {
    const error = thrownBy(() => parse([Buffer.of(0)])) as Error;
    expect(error.name).to.equal('FrameTruncatedError');
    expect(String(error)).to.equal(
      'FrameTruncatedError: the input ended inside the frame at byte 0: 1 of 4 bytes of its length prefix had come',
    );
  });
});
