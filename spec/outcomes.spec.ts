import { expect } from 'chai';
import { askProgram } from './support/programs';
import { page, tableUnder } from './support/pages';
import { stressed } from './support/stress';

type Outcomes = Record<string, string>;

const { columns, rows } = tableUnder('README.md', 'Why not the built-in');
/** Those of others change when a release of theirs is installed. */
const ways = stressed(columns.slice(1), ['`PortDuplex`']);
const optionsOfOthers = stressed(['execa, `buffer: false`'], []);
const bufferRows = ['prints 10 MB on stderr, exits with 1', 'prints 110 MB'];

describe('the README’s table of outcomes', () => {
  const measured: Record<string, Outcomes> = {};

  before('each way of making a stream of a program, in a process of its own', async function () {
    const measure = async (way: string, only: string[] = []): Promise<void> => {
      measured[way] = await askProgram<Outcomes>('outcomes', [way, ...only]);
    };
    await Promise.all([
      ...ways.map((way) => measure(way)),
      ...optionsOfOthers.map((option) => measure(option, bufferRows)),
    ]);
  });

  for (const [title = '', ...cells] of rows) {
    it(`is true: ${title}`, () => {
      expect(ways.map((way) => measured[way]?.[title])).to.deep.equal(
        ways.map((way) => cells[columns.indexOf(way) - 1]),
      );
    });
  }

  it('has every outcome that is measured', () => {
    expect(rows.map(([title]) => title)).to.have.members(Object.keys(measured[ways[0]!]!));
  });

  for (const option of optionsOfOthers) {
    it(`says what ${option} changes`, () => {
      const [stderr, stdout] = bufferRows.map((title) => measured[option]?.[title]);
      expect(rows.slice(-2).map(([title]) => title)).to.deep.equal(bufferRows);
      expect(page('README.md').text).to.include(
        `\`buffer: false\` changes the last two rows: "${stderr}" and "${stdout}".`,
      );
    });
  }
});
