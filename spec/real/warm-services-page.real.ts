/** The page about services of others: its blocks, beside the packages that they name. */
import path from 'node:path';
import { expect } from 'chai';
import { blocksOf, page } from '../support/pages';
import { PagesProject } from '../support/pages-project';

const blocks = blocksOf(page('docs/warm-services.md')).filter(({ language }) => language === 'ts');

describe('the page about warm services', () => {
  let project: PagesProject;

  before('type-check its blocks', async function () {
    this.timeout(120_000);
    project = await PagesProject.of(blocks);
  });
  after(() => project.remove());

  for (const block of blocks) {
    it(`${block.heading}: the block compiles, runs, and prints what it shows`, async function () {
      this.timeout(60_000);
      expect(project.faults.get(block)).to.deep.equal([]);
      const commands = path.join(__dirname, 'node_modules', '.bin');
      const run = project.start(block, { PATH: `${commands}${path.delimiter}${process.env.PATH}` }).run;
      const { exitCode, stdout, stderr } = await run;
      expect(exitCode, stderr).to.equal(0);
      expect(stdout).to.equal(block.output);
    });
  }

  it('has a block for each of the three', () => {
    expect(blocks).to.have.lengthOf(3);
  });
});
