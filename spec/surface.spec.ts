import path from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
import * as rexport from '../lib/index';

const values = [
  'AbortError',
  'BadLengthError',
  'BrokenError',
  'ClosedError',
  'ExitError',
  'FrameParser',
  'FrameTruncatedError',
  'InputClosedError',
  'InvalidMessageError',
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
  'encodeFrame',
  'json',
  'servePort',
];
const types = [
  'Codec',
  'Distribution',
  'ExitStatus',
  'Figures',
  'FrameFormat',
  'FrameParserOptions',
  'Generation',
  'LaneState',
  'LaneStatistics',
  'LengthPrefixDecoderOptions',
  'LengthPrefixEncoderOptions',
  'Message',
  'MessageHandler',
  'PortDuplexOptions',
  'PortEvents',
  'PortOptions',
  'PortPoolOptions',
  'PortState',
  'PortStatistics',
  'RequestOptions',
  'RequestTransform',
  'Restart',
  'ServePortOptions',
  'TransformOptions',
];

/** Every name that the checker sees in index.ts, values and types. */
function declaredNames(): string[] {
  const index = path.join(__dirname, '..', 'lib', 'index.ts');
  const program = ts.createProgram([index], { module: ts.ModuleKind.Node20, types: [] });
  const checker = program.getTypeChecker();
  const exports = checker.getSymbolAtLocation(program.getSourceFile(index)!);
  return checker.getExportsOfModule(exports!).map((symbol) => symbol.name);
}

describe('the public surface', () => {
  it('has these values and no others', () => {
    expect(Object.keys(rexport).sort()).to.deep.equal(values);
  });

  it('has these types besides and no others', () => {
    expect(declaredNames().sort()).to.deep.equal([...values, ...types].sort());
  });
});
