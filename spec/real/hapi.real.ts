import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { buffer, text } from 'node:stream/consumers';
import { expect } from 'chai';
import { LengthPrefixDecoder, PortDuplex } from '../../lib/index';
import { frames } from '../support/frames';
import { closed, rejection, sh } from '../support/streams';

interface Server {
  readonly info: { readonly uri: string };
  route(route: { method: string; path: string; handler: (request: object, h: unknown) => unknown }): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

// It is installed beside this file alone, so the checker does not know it.
const hapi = createRequire(__filename)('@hapi/hapi') as { server(options: object): Server };

describe('hapi, which asks `instanceof Stream` whether a handler gave it a stream', () => {
  let server: Server;
  const made: PortDuplex[] = [];
  const port = (...command: [string, string[]]): PortDuplex => {
    const one = new PortDuplex(...command, { stdin: 'ignore' });
    made.push(one);
    return one;
  };

  before(async () => {
    server = hapi.server({ host: '127.0.0.1', port: 0, debug: false });
    const routes: Record<string, () => unknown> = {
      '/good': () => port(...sh('printf "all of it"')),
      '/large': () => port('head', ['-c', '3000000', '/dev/zero']),
      '/bad': () => port(...sh('head -c 200000 /dev/zero; exit 3')),
      '/endless': () => port('yes', []),
      '/stderr': () => {
        const one = new PortDuplex('sh', ['-c', 'echo from stderr >&2'], { stdin: 'ignore', stderr: 'pipe' });
        made.push(one);
        one.resume();
        return one.stderr;
      },
      '/messages': () => {
        const decoder = new LengthPrefixDecoder();
        decoder.end(frames(['a', 'b']));
        return decoder;
      },
    };
    for (const [path, handler] of Object.entries(routes)) server.route({ method: 'GET', path, handler });
    await server.start();
  });

  after(() => server.stop());

  afterEach(async () => {
    for (const one of made.splice(0)) await closed(one);
  });

  /** Without an agent, so that no socket stays. */
  const get = async (path: string): Promise<IncomingMessage> => {
    const request = http.get(server.info.uri + path, { agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  };

  it('sends what a port prints', async () => {
    const response = await get('/good');
    expect([response.statusCode, await text(response)]).to.deep.equal([200, 'all of it']);
  });

  it('sends 3 MB of it', async () => {
    expect((await buffer(await get('/large'))).length).to.equal(3_000_000);
  });

  it('sends the stderr of a port', async () => {
    expect(await text(await get('/stderr'))).to.equal('from stderr\n');
  });

  it('does not end a body well whose program failed', async () => {
    const response = await get('/bad');
    expect(response.statusCode).to.equal(200);
    expect(await rejection(text(response))).to.have.property('code', 'ECONNRESET');
  });

  it('ends the program of a client that has left', async () => {
    const response = await get('/endless');
    const [running] = made;
    const gone = once(running!, 'close');
    response.on('error', () => {}).destroy();
    await gone;
    expect(running!.signalCode).to.be.a('string');
  });

  it('takes no stream of objects, as of any other class', async () => {
    const response = await get('/messages');
    expect(response.statusCode).to.equal(500);
    await text(response);
  });

  it('a port by itself still is what it was', async () => {
    expect(await text(port(...sh('printf x')))).to.equal('x');
  });
});
