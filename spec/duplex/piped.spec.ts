import { describeWith } from '../support/other-options';
import { stressed } from '../support/stress';

const files = [
  ...['chain', 'cut-input', 'ending', 'input', 'orphans', 'output', 'reader-left', 'starting', 'stderr'],
  'stream-consumers',
];

describe('With `pipes: true`, PortDuplex is what it is without:', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // there it is the same in every way
  });

  const chosen = stressed(files, ['chain', 'cut-input', 'input', 'output', 'reader-left']);
  describeWith(
    'pipes',
    chosen.map((file) => `duplex/${file}.spec`),
  );
});
