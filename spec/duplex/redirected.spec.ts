import { describeWith } from '../support/other-options';

// Without child-input and port-duplex-options, which have no port, and scale, which would only repeat itself: it looks for
// what a thousand ports leave behind, and redirect-scale does that for redirected ones.
describe('With `redirect: true`, PortDuplex is what it is without:', () => {
  // where ports are in a row, or one has a reader that leaves: what is between two of them is theirs then
  describeWith('redirect', {
    'duplex/chain.spec': [
      'resolves yes | cat | head -n 1',
      'names the program that failed in the middle',
      'raises the failure of a source',
      'goes on for a source that feeds somebody else',
      'forgets a source',
    ],
    'duplex/cut-input.spec': ['not after a sink that fails', 'not when a program before it fails'],
    'duplex/ending.spec': [],
    'duplex/input.spec': [],
    'duplex/orphans.spec': [],
    'duplex/output.spec': ['gives every byte before the failure to a slow reader: a slow sink under pipe'],
    'duplex/reader-left.spec': [
      'gzip -d of a wrong CRC',
      'one that comes 50 ms after',
      'yes | cat, ',
      'a program that fails for it',
      'it has 256 KiB',
      'and so is a descendant',
    ],
    'duplex/starting.spec': [],
    'duplex/stderr.spec': [],
    'duplex/stream-consumers.spec': [],
  });
});
