import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { program } from '../support/ports';
import { programPath } from '../support/programs';
import { requirePrograms } from '../support/stress';

describe('servePort behind Erlang’s open_port', () => {
  let folder: string | undefined;

  before(function () {
    requirePrograms(this, 'erl', 'erlc');
    folder = mkdtempSync(path.join(tmpdir(), 'rexport-erlang-'));
    const { status, stdout } = spawnSync('erlc', ['-o', folder, program('open_port.erl')], { encoding: 'utf8' });
    expect(status, stdout).to.equal(0);
  });

  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  for (const packet of [1, 2, 4]) {
    it(`answers {packet, ${packet}} and tells a failure by its exit status`, () => {
      const host = ['-noinput', '-pa', folder!, '-run', 'open_port', 'main', `${packet}`];
      const child = [process.execPath, programPath('served'), '2', `${packet}`];
      const { stdout, stderr } = spawnSync('erl', [...host, ...child], { encoding: 'utf8', timeout: 15_000 });
      expect(stdout, stderr).to.equal('5 replies, exit status 1\n');
      expect(stderr).to.include('Error: away');
    });
  }
});
