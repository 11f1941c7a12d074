import path from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
import manifest from '../package.json';
import * as rexport from '../lib/index';

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

  it('is found by every way that TypeScript resolves modules, each entry of it', () => {
    const repository = path.join(__dirname, '..');
    const installed = '/project/node_modules/rexport/';
    // As the build lays it out: dist has a declaration for each source.
    const onDisk = (file: string): string | undefined =>
      file.startsWith(installed)
        ? path.join(repository, file.slice(installed.length).replace(/^dist\/(.*)\.d\.ts$/, '$1.ts'))
        : undefined;
    const host: ts.ModuleResolutionHost = {
      fileExists: (file) => onDisk(file) !== undefined && ts.sys.fileExists(onDisk(file)!),
      readFile: (file) => (onDisk(file) === undefined ? undefined : ts.sys.readFile(onDisk(file)!)),
    };
    const ways: [way: string, options: ts.CompilerOptions][] = [
      ['node10', { moduleResolution: ts.ModuleResolutionKind.Node10, module: ts.ModuleKind.CommonJS }],
      ['node16', { moduleResolution: ts.ModuleResolutionKind.Node16, module: ts.ModuleKind.Node16 }],
      ['nodenext', { moduleResolution: ts.ModuleResolutionKind.NodeNext, module: ts.ModuleKind.NodeNext }],
      ['bundler', { moduleResolution: ts.ModuleResolutionKind.Bundler, module: ts.ModuleKind.ESNext }],
    ];
    const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target === 'object') as [
      string,
      { types: string },
    ][];
    expect(entries.map(([name]) => name)).to.include.members(['.', './child', './testing']);
    for (const [name, { types: declaration }] of entries) {
      for (const [way, options] of ways) {
        const specifier = path.posix.join('rexport', name);
        const { resolvedModule } = ts.resolveModuleName(specifier, '/project/index.ts', options, host);
        const expected = path.posix.join(installed, declaration);
        expect(resolvedModule?.resolvedFileName, `${specifier} by ${way}`).to.equal(expected);
      }
    }
  });

  it('has these types too and no others', function () {
    this.timeout(60_000);
    expect(declaredNames().sort()).to.deep.equal([...values, ...types].sort());
  });
});
