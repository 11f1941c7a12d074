import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { FrameFormat } from '../../lib/framing/format';
import { encodeFrame } from '../../lib/framing/length-prefix';
import { parse } from '../support/frames';
import { requirePrograms, stressed } from '../support/stress';

interface Golden {
  readonly name: string;
  readonly format: FrameFormat;
  readonly message: Buffer;
  readonly frame: string;
}

const HELLO = Buffer.from('hello');

/** Written down from the documents of each format, not from our own output. */
const golden: readonly Golden[] = [
  { name: 'Erlang {packet,1}', format: { packet: 1 }, message: HELLO, frame: '0568656c6c6f' },
  { name: 'Erlang {packet,2}', format: { packet: 2 }, message: HELLO, frame: '000568656c6c6f' },
  { name: 'Erlang {packet,4}', format: { packet: 4 }, message: HELLO, frame: '0000000568656c6c6f' },
  {
    name: 'protobuf writeDelimitedTo: field 1 = 150, the example of its encoding guide',
    format: { prefix: 'varint' },
    message: Buffer.from('089601', 'hex'),
    frame: '03089601',
  },
  {
    name: 'protobuf writeDelimitedTo: 300 bytes are ac 02',
    format: { prefix: 'varint' },
    message: Buffer.alloc(300, 0x61),
    frame: `ac02${'61'.repeat(300)}`,
  },
  {
    name: 'Chrome native messaging: native byte order, on a little-endian machine',
    format: { prefix: 4, endian: 'little' },
    message: Buffer.from('{"text":"é"}'),
    frame: `0d000000${Buffer.from('{"text":"é"}').toString('hex')}`,
  },
  {
    name: "gRPC's length, behind its flag byte",
    format: { prefix: 4 },
    message: Buffer.from('0a05776f726c64', 'hex'),
    frame: '000000070a05776f726c64',
  },
  {
    name: 'PostgreSQL SSLRequest: a length that counts itself',
    format: { prefix: 4, lengthIncludesPrefix: true },
    message: Buffer.from('04d2162f', 'hex'),
    frame: '0000000804d2162f',
  },
  {
    name: 'an 8-byte length',
    format: { prefix: 8 },
    message: HELLO,
    frame: '000000000000000568656c6c6f',
  },
];

describe('golden bytes', () => {
  for (const { name, format, message, frame } of golden) {
    it(name, () => {
      expect(encodeFrame(message, format).toString('hex')).to.equal(frame);
      expect(parse([Buffer.from(frame, 'hex')], format)).to.deep.equal([message]);
    });
  }

  it('native messaging in the byte order of this machine', () => {
    const endian = endianness() === 'LE' ? 'little' : 'big';
    const length = new Uint8Array(Uint32Array.of(5).buffer);
    expect(encodeFrame('12345', { prefix: 4, endian })).to.deep.equal(Buffer.concat([length, Buffer.from('12345')]));
  });

  // in small erlang.spec.ts has one
  for (const packets of stressed([[1, 2, 4] as const], [])) {
    it(`what a real erl writes for {packet, ${packets.join()}}, and what it reads`, async function () {
      requirePrograms(this, 'erl');
      const sizesOf = (packet: number): number[] => [
        ...[0, 1, 5, 127, 128, 255],
        ...(packet > 1 ? [256, 65535] : []),
        ...(packet > 2 ? [65536] : []),
      ];
      const directory = await mkdtemp(join(tmpdir(), 'rexport-erl-'));
      const file = (packet: number): string => join(directory, `frames-${packet}`);
      // `tee` gives the bytes back and then keeps them, so that Erlang reads the frames it writes; when the message after
      // the last has come back, all before it are kept.
      const talk = (packet: number): string => `
      Port${packet} = open_port({spawn, "tee ${file(packet)}"}, [{packet, ${packet}}, binary]),
      lists:foreach(fun(N) ->
        Message = binary:copy(<<N:8>>, N),
        port_command(Port${packet}, Message),
        receive {Port${packet}, {data, Message}} -> ok end
      end, [${[...sizesOf(packet), 1].join(',')}]),
      port_close(Port${packet}),`;
      const program = `${packets.map(talk).join('')} halt(0).`;
      const erl = spawn('erl', ['-noshell', '-eval', program], { stdio: ['ignore', 'inherit', 'inherit'] });
      expect(await once(erl, 'close')).to.deep.equal([0, null]);
      for (const packet of packets) {
        const messages = sizesOf(packet).map((size) => Buffer.alloc(size, size % 256));
        const expected = Buffer.concat(messages.map((message) => encodeFrame(message, { packet })));
        const frames = (await readFile(file(packet))).subarray(0, expected.length);
        expect(frames.equals(expected), `{packet,${packet}}`).to.equal(true);
        expect(parse([frames], { packet })).to.deep.equal(messages);
      }
      await rm(directory, { recursive: true });
    });
  }
});
