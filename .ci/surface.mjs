// The built package as its users get it: `require` and `import` give the same classes, and the declarations stand without
// the types of readable-stream, which nobody who installs rexport has.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
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

console.log(`the same by import and require: ${names.join(', ')}`);
