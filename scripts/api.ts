/** What typedoc reads: all that the package exports, on one page. */
export * from '../lib/index';
export * from '../lib/testing/fake-child';
export * from '../lib/jetstream';
