import { expect } from 'chai';
import { askProgram } from '../support/programs';

const isStress = process.env['STRESS'] === '1';
const RUNS = isStress ? 4000 : 30;
const SEED = Number(process.env['SEED'] ?? 1);

describe('PortDuplex: its user may call any method in any event and callback, and throw there', () => {
  it(`so each callback is called once, each throw reaches the process, the port closes and no child is left, ${RUNS} times`, async function () {
    this.timeout(isStress ? 1_800_000 : 120_000);
    interface Answer {
      faults: string[];
      done: Record<string, number>;
    }
    const { faults, done } = await askProgram<Answer>('reentrancy', [String(SEED), String(RUNS)]);
    expect(faults).to.deep.equal([]);
    // what the runs must have done to say anything
    for (const name of ['write with a callback', 'destroy', 'throw in spawn', 'throw in exit', 'throw in close']) {
      expect(done[name], name).to.be.greaterThan(0);
    }
  });
});
