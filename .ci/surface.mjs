// The built package as its users get it: `require` and `import` give the same classes, and the declarations stand without
// the types of readable-stream, which nobody who installs rexport has. Without the client of NATS all but the queue loads.
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
import * as importedQueue from 'rexport/jetstream';

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

const requiredQueue = require('rexport/jetstream');
assert.deepEqual(Object.keys(requiredQueue).sort(), ['DeadLetterError', 'PortQueue', 'QueueClosedError', 'serveQueue']);
for (const [name, value] of Object.entries(requiredQueue)) {
  assert.equal(importedQueue[name], value, `import and require give different values for ${name}`);
}
const dead = new requiredQueue.DeadLetterError({ queue: 'q', row: 0, deliveries: 1, code: 'X', reason: 'none' });
assert.ok(dead instanceof required.RexPortError, 'rexport/jetstream has another RexPortError than rexport');

const { bin, peerDependencies, peerDependenciesMeta } = require('rexport/package.json');
for (const name of Object.keys(peerDependencies)) assert.ok(peerDependenciesMeta[name]?.optional, name);
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

const repository = fileURLToPath(new URL('..', import.meta.url));

// Where the client of NATS is not found, all but the queue loads, and the queue says what it needs.
const hide = `const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (!name.startsWith('@nats-io/')) return resolve.call(this, name, ...rest);
  throw Object.assign(new Error('Cannot find module ' + name), { code: 'MODULE_NOT_FOUND' });
};`;
const told = (how, entry) => {
  const script = `${how}('rexport${entry}').then(() => console.log('loaded'), (error) => console.log(error.message))`;
  const child = execFileSync(process.execPath, ['-e', `${hide}\n${script}`], { cwd: repository, encoding: 'utf8' });
  return child.trim();
};
for (const how of ['(async (name) => require(name))', '((name) => import(name))']) {
  for (const entry of ['', '/child', '/testing']) assert.equal(told(how, entry), 'loaded', `${how} of rexport${entry}`);
  assert.match(told(how, '/jetstream'), /npm install @nats-io\/transport-node @nats-io\/jetstream$/);
}

// A project that has rexport installed compiles, however it resolves modules.
const project = mkdtempSync(path.join(tmpdir(), 'rexport-surface-'));
try {
  mkdirSync(path.join(project, 'node_modules'));
  symlinkSync(path.join(repository, 'node_modules', '@nats-io'), path.join(project, 'node_modules', '@nats-io'));
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
  const queueFile = path.join(project, 'queue.ts');
  writeFileSync(
    queueFile,
    `import type { NatsConnection } from '@nats-io/transport-node';
import { Port } from 'rexport';
import { DeadLetterError, PortQueue, serveQueue, type QueueStatistics } from 'rexport/jetstream';
declare const connection: NatsConnection;
const port = new Port('worker', { requestTimeoutMs: 1000 });
export const drained: Promise<QueueStatistics> = serveQueue(port, connection, 'rows');
export const queue = new PortQueue<number, string>(connection, 'rows', { encode: String, decode: String });
export const reply: Promise<string> = queue.request(1);
export const rowOf = (error: unknown): number | undefined => (error instanceof DeadLetterError ? error.row : undefined);
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
    // The declarations of the client of NATS are not found by node10.
    const files = moduleResolution === 'node10' ? [file] : [file, queueFile];
    const faults = ts.getPreEmitDiagnostics(ts.createProgram(files, options));
    assert.equal(ts.formatDiagnostics(faults, ts.createCompilerHost(options)), '', moduleResolution);
  }
} finally {
  rmSync(project, { recursive: true });
}

console.log(`the same by import and require: ${names.join(', ')}`);
