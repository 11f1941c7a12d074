import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';
import * as jetstream from '../../lib/jetstream';
import { programPath } from '../support/programs';

const lib = path.resolve(programPath('served'), '../../../lib');

/** Runs a script in a Node that finds no package of the client of NATS. */
function withoutPeers(script: string): { status: number | null; stdout: string; stderr: string } {
  const hide = `
    const Module = require('node:module');
    const resolve = Module._resolveFilename;
    Module._resolveFilename = function (name, ...rest) {
      if (!name.startsWith('@nats-io/')) return resolve.call(this, name, ...rest);
      throw Object.assign(new Error('Cannot find module ' + name), { code: 'MODULE_NOT_FOUND' });
    };`;
  return spawnSync(process.execPath, ['-e', `${hide}\n${script}`, lib], { encoding: 'utf8' });
}

describe('the entry rexport/jetstream', () => {
  it('has these values and no others', () => {
    expect(Object.keys(jetstream).sort()).to.deep.equal([
      'DeadLetterError',
      'PortQueue',
      'QueueClosedError',
      'serveQueue',
    ]);
  });

  it('says what to install where the client of NATS is missing, and `rexport` itself loads without it', () => {
    const { status, stdout, stderr } = withoutPeers(`
      const path = require('node:path');
      const { PortPool } = require(path.join(process.argv[1], 'index'));
      console.log(typeof PortPool);
      try {
        require(path.join(process.argv[1], 'jetstream'));
      } catch (error) {
        console.log(error.code, error.message);
      }
    `);
    expect(status, stderr).to.equal(0);
    expect(stdout.split('\n')).to.deep.equal([
      'function',
      'MODULE_NOT_FOUND rexport/jetstream needs the package @nats-io/transport-node, which is not installed: ' +
        'npm install @nats-io/transport-node @nats-io/jetstream',
      '',
    ]);
  });

  it('is not loaded by `rexport`, where the client of NATS is installed', () => {
    const script = `
      require(require('node:path').join(process.argv[1], 'index'));
      console.log(Object.keys(require.cache).filter((file) => /@nats-io|jetstream/.test(file)).length);
    `;
    const { stdout } = spawnSync(process.execPath, ['-e', script, lib], { encoding: 'utf8' });
    expect(stdout).to.equal('0\n');
  });
});
