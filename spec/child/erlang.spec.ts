import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { program } from '../support/ports';
import { programPath } from '../support/programs';
import { requirePrograms, stressed } from '../support/stress';

describe('servePort behind Erlang’s open_port', () => {
  before(function () {
    requirePrograms(this, 'erl');
  });

  const file = JSON.stringify(program('open_port.erl'));
  const run =
    `{ok, Module, Code} = compile:file(${file}, [binary]), ` +
    `{module, Module} = code:load_binary(Module, ${file}, Code), Module:main(init:get_plain_arguments()).`;

  for (const packet of stressed([1, 2, 4], [4])) {
    it(`answers {packet, ${packet}} and tells a failure by its exit status`, () => {
      const child = [process.execPath, programPath('served'), '2', `${packet}`];
      const args = ['-noinput', '-eval', run, '-extra', `${packet}`, ...child];
      const { stdout, stderr } = spawnSync('erl', args, { encoding: 'utf8', timeout: 15_000 });
      expect(stdout, stderr).to.equal('5 replies, exit status 1\n');
      expect(stderr).to.include('Error: away');
    });
  }
});
