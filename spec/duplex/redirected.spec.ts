import { describeWith } from '../support/other-options';

// Without child-input and port-duplex-options, which have no port, and scale, which would only repeat itself: it looks for
// what a thousand ports leave behind, and redirect-scale does that for redirected ones.
describe('With `redirect: true`, PortDuplex is what it is without:', () => {
  describeWith('redirect', [
    'duplex/chain.spec',
    'duplex/cut-input.spec',
    'duplex/ending.spec',
    'duplex/input.spec',
    'duplex/orphans.spec',
    'duplex/output.spec',
    'duplex/reader-left.spec',
    'duplex/starting.spec',
    'duplex/stderr.spec',
    'duplex/stream-consumers.spec',
  ]);
});
