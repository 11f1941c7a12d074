import { expect } from 'chai';
import { askProgram } from './support/programs';
import { page, tableUnder } from './support/pages';

type Outcomes = Record<string, string>;

const { columns, rows } = tableUnder('README.md', 'Why not the built-in');
const ways = columns.slice(1);
const withoutBuffer = 'execa, `buffer: false`';
const bufferRows = ['prints 10 MB on stderr, exits with 1', 'prints 110 MB'];

describe('the README’s table of outcomes', () => {
  const measured: Record<string, Outcomes> = {};

  before('each way of making a stream of a program, in a process of its own', async function () {
    const measure = async (way: string, only: string[] = []): Promise<void> => {
      measured[way] = await askProgram<Outcomes>('outcomes', [way, ...only]);
    };
    await Promise.all([...ways.map((way) => measure(way)), measure(withoutBuffer, bufferRows)]);
  });

  for (const [title = '', ...cells] of rows) {
    it(`is true: ${title}`, () => {
      expect(ways.map((way) => measured[way]?.[title])).to.deep.equal(cells);
    });
  }

  it('has every outcome that is measured', () => {
    expect(rows.map(([title]) => title)).to.have.members(Object.keys(measured[ways[0]!]!));
  });

  it('says what execa’s option `buffer: false` changes', () => {
    const [stderr, stdout] = bufferRows.map((title) => measured[withoutBuffer]?.[title]);
    expect(rows.slice(-2).map(([title]) => title)).to.deep.equal(bufferRows);
    expect(page('README.md').text).to.include(
      `\`buffer: false\` changes the last two rows: "${stderr}" and "${stdout}".`,
    );
  });
});
