import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import manifest from '../package.json';
import * as rexport from '../lib/index';
import { askProgram } from './support/programs';

const values = [
  'AbortError',
  'BadLengthError',
  'BrokenError',
  'ClosedError',
  'ExitError',
  'FrameDecoder',
  'FrameEncoder',
  'FrameParser',
  'FrameTruncatedError',
  'InputClosedError',
  'InvalidMessageError',
  'JsonRpcError',
  'LengthPrefixDecoder',
  'LengthPrefixEncoder',
  'MessageTooLargeError',
  'PoisonError',
  'Port',
  'PortDuplex',
  'PortPool',
  'QueueFullError',
  'RexPortError',
  'SpawnError',
  'TimeoutError',
  'UnexpectedReplyError',
  'contentLength',
  'encodeFrame',
  'incoming',
  'json',
  'jsonRpc',
  'lengthPrefix',
  'lines',
  'servePort',
];
const types = [
  'ChildHooks',
  'Codec',
  'ContentLengthOptions',
  'Distribution',
  'ExitStatus',
  'Figures',
  'FrameDecoderOptions',
  'FrameEncoderOptions',
  'FrameFormat',
  'FrameParserOptions',
  'Framing',
  'FramingParser',
  'FramingWriter',
  'Generation',
  'Incoming',
  'JsonRpcMessage',
  'JsonRpcOptions',
  'LaneState',
  'LaneStatistics',
  'LengthPrefixDecoderOptions',
  'LengthPrefixEncoderOptions',
  'LinesOptions',
  'Message',
  'MessageContext',
  'MessageHandler',
  'PortChild',
  'PortDuplexEvents',
  'PortDuplexOptions',
  'PortEvents',
  'PortOptions',
  'PortPoolOptions',
  'PortState',
  'PortStatistics',
  'Protocol',
  'RequestOptions',
  'RequestTransform',
  'Restart',
  'ServePortOptions',
  'TransformOptions',
  'UnorderedMessageHandler',
  'UnorderedServePortOptions',
];

const repository = path.join(__dirname, '..');

/** Those of index.ts, which has nothing but exports by name: of what is exported in another way nothing is known here. */
function exportedTypes(): string[] {
  const text = readFileSync(path.join(repository, 'lib', 'index.ts'), 'utf8').replace(/\/\*.*?\*\//gs, '');
  const statement = /\s*export (type )?\{([\w\s,]*)\} from '[\w./-]+';\s*/g;
  expect(text.replace(statement, '')).to.equal('');
  return [...text.matchAll(statement)].flatMap(([, isType, names = '']) => {
    const all = names.split(',').flatMap((name) => name.trim() || []);
    return isType ? all : all.flatMap((name) => /^type (.*)/.exec(name)?.[1] ?? []);
  });
}

describe('the public surface', () => {
  it('has these values and no others', () => {
    expect(Object.keys(rexport).sort()).to.deep.equal(values);
  });

  it('has these types too and no others', () => {
    expect(exportedTypes().sort()).to.deep.equal(types);
  });

  it('is found by every way that TypeScript resolves modules, each entry of it', async () => {
    const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
      typeof target === 'string' ? [] : [[name, target.types] as const],
    );
    expect(entries.map(([name]) => name)).to.include.members(['.', './child', './testing']);
    const expected = entries.map(([name, file]) => [
      name,
      { node10: file, node16: file, nodenext: file, bundler: file },
    ]);
    expect(await askProgram('resolved', [repository])).to.deep.equal(Object.fromEntries(expected));
  });
});
