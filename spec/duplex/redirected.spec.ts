import { describeWith } from '../support/other-options';
import { stressed } from '../support/stress';

// Without child-input and port-duplex-options, which have no port, and scale, which would only repeat itself: it looks for
// what a thousand ports leave behind, and redirect-scale does that for redirected ones.
describe('With `redirect: true`, PortDuplex is what it is without:', () => {
  // where ports are in a row, or one has a file or a reader that leaves at its end
  const inRows = ['chain', 'cut-input', 'output', 'reader-left'];
  const others = ['ending', 'input', 'orphans', 'starting', 'stderr', 'stream-consumers'];
  describeWith(
    'redirect',
    [...inRows, ...stressed(others, [])].map((file) => `duplex/${file}.spec`),
  );
});
