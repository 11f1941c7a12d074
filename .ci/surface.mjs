// The built package as its users get it: `require` and `import` give the same classes, and the declarations stand without
// the types of readable-stream, which nobody who installs rexport has.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import * as imported from 'rexport';
import * as importedChild from 'rexport/child';

const require = createRequire(import.meta.url);
const required = require('rexport');
const names = Object.keys(required).sort();

assert.ok(names.includes('PortDuplex'), `no PortDuplex among ${names.join(', ') || 'no names at all'}`);
for (const name of names) {
  assert.equal(imported[name], required[name], `import and require give different values for ${name}`);
}

assert.equal(importedChild.servePort, required.servePort, 'rexport/child gives another servePort than rexport');
assert.equal(require('rexport/child').servePort, required.servePort);

assert.equal(typeof require('rexport/testing').fakeChild, 'function');

const { bin } = require('rexport/package.json');
const usage = execFileSync(process.execPath, [fileURLToPath(new URL(`../${bin.rexport}`, import.meta.url)), '--help']);
assert.match(String(usage), /^usage: rexport check /);

const dist = new URL('../dist/', import.meta.url);
for (const file of readdirSync(dist, { recursive: true })) {
  if (!file.endsWith('.d.ts')) continue;
  assert.doesNotMatch(
    readFileSync(new URL(file, dist), 'utf8'),
    /from 'readable-stream'|require\('readable-stream'\)/,
    file,
  );
}

// A project that has rexport installed compiles, however it resolves modules.
const project = mkdtempSync(path.join(tmpdir(), 'rexport-surface-'));
try {
  mkdirSync(path.join(project, 'node_modules'));
  const repository = fileURLToPath(new URL('..', import.meta.url));
  symlinkSync(repository, path.join(project, 'node_modules', 'rexport'));
  const file = path.join(project, 'index.ts');
  writeFileSync(
    file,
    `import { Port } from 'rexport';
import { servePort, type MessageHandler } from 'rexport/child';
import { fakeChild } from 'rexport/testing';
const handler: MessageHandler = (message) => message;
export const port: Port = new Port('worker', { ...fakeChild(handler) });
export const served: Promise<void> = servePort(handler);
`,
  );
  const ways = { node10: 'commonjs', node16: 'node16', nodenext: 'nodenext', bundler: 'esnext' };
  for (const [moduleResolution, module] of Object.entries(ways)) {
    const { options } = ts.convertCompilerOptionsFromJson(
      { module, moduleResolution, target: 'es2022', lib: ['es2023', 'esnext.disposable'], strict: true, noEmit: true },
      project,
    );
    // TypeScript 6 says that node10 goes; who has it still, uses it.
    Object.assign(options, {
      ignoreDeprecations: '6.0',
      types: ['node'],
      typeRoots: [path.join(repository, 'node_modules/@types')],
    });
    const faults = ts.getPreEmitDiagnostics(ts.createProgram([file], options));
    assert.equal(ts.formatDiagnostics(faults, ts.createCompilerHost(options)), '', moduleResolution);
  }
} finally {
  rmSync(project, { recursive: true });
}

console.log(`the same by import and require: ${names.join(', ')}`);
