import { once } from 'node:events';
import { expect } from 'chai';
import { Port } from '../../lib/port/port';
import { pattern } from '../support/frames';
import { bytesKeptBy } from '../support/memory';
import { isAlive } from '../support/processes';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

describe('Port: many at once', () => {
  const deaf = stressed(300, 10);
  it(`${deaf} deaf children are written to and then closed: every close settles, and no child is left`, async () => {
    const pids: number[] = [];
    const ports = Array.from({ length: deaf }, () => new Port('sleep', ['60'], { closeTimeoutMs: 10 }));
    const requests = ports.map((port) => rejection(port.request('x')));
    for (const [{ pid }] of await Promise.all(ports.map((port) => once(port, 'spawn') as Promise<[{ pid: number }]>))) {
      pids.push(pid);
    }
    expect(pids.filter(isAlive)).to.have.length(deaf);
    await Promise.all(ports.map((port) => port.close()));
    for (const error of await Promise.all(requests)) expect(error.code).to.equal('ERR_REXPORT_CLOSED');
    expect(pids.filter(isAlive)).to.deep.equal([]);
  });

  const messages = stressed(500, 100);
  it(`${messages} messages of 64 KiB leave nothing of themselves behind`, async () => {
    await using port = new Port('cat', { maxInFlight: 4 });
    const message = pattern(65_536);
    const round = async (): Promise<void> => {
      const replies = await Promise.all(Array.from({ length: messages / 2 }, () => port.request(message)));
      expect(replies.every((reply) => reply.equals(message))).to.equal(true);
    };
    await round();
    expect(await bytesKeptBy(round)).to.be.below(1024 * 1024);
  });
});
