/**
 * The names of the one event "nobody reads at the other end": EPIPE and ECONNRESET (it left bytes unread) on Linux, EOF on
 * Windows, ENOTCONN where the end of input comes too late, the others where Node has closed the pipe already, before the
 * write or under it (ECANCELED).
 */
const BROKEN_PIPE_CODES: readonly (string | undefined)[] = [
  'EPIPE',
  'ECONNRESET',
  'EOF',
  'ENOTCONN',
  'ECANCELED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
];

export function isBrokenPipe(error: NodeJS.ErrnoException): boolean {
  return BROKEN_PIPE_CODES.includes(error.code);
}
