import { describeWith } from '../support/other-options';
import { stressed } from '../support/stress';

const files = ['chain', 'ending', 'input', 'orphans', 'output', 'starting', 'stderr'];

describe('With `pipes: true`, PortDuplex is what it is without:', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // there it is the same in every way
  });

  const chosen = stressed(files, ['chain', 'input', 'output']);
  describeWith(
    'pipes',
    chosen.map((file) => `duplex/${file}.spec`),
  );
});
