import { describeWith } from '../support/other-options';

// What the pipes take part in: the bytes both ways, an end that is seen only where it has come, and a reader that leaves.
describe('With `pipes: true`, PortDuplex is what it is without:', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // there it is the same in every way
  });

  describeWith('pipes', {
    'duplex/chain.spec': ['resolves yes | cat | head -n 1', 'raises the failure of a source', 'forgets a source'],
    'duplex/cut-input.spec': [
      'not after a source that fails',
      'not after an end of the input that waits',
      'not when a wrapper dies',
      'but when it has, in Perl',
    ],
    'duplex/ending.spec': [],
    'duplex/input.spec': [
      'fails with the exit error whatever',
      'delivers all output of a filter',
      'keeps the readable side open',
      'echoes what is written',
      'hands over writes in their order',
    ],
    'duplex/orphans.spec': [],
    'duplex/output.spec': [
      'gives every byte before the failure to a slow reader: data with pause',
      'raises a failure at once where nobody reads',
      'does not end before the status is known',
      'stays in bounded memory',
    ],
    'duplex/reader-left.spec': [
      'gzip -d of a wrong CRC',
      'one that comes 50 ms after',
      'yes, ',
      'a program that fails for it',
      'it has 256 KiB',
      'and so is a descendant',
    ],
    'duplex/starting.spec': [],
    'duplex/stderr.spec': [],
    'duplex/stream-consumers.spec': [],
  });
});
