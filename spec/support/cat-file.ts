import { lines, type Framing, type FramingParser } from '../../lib/index';

/**
 * What a user writes for `git cat-file --batch`: names go in as lines, and out come "<hash> <type> <bytes>\n", the bytes
 * and "\n". A message is the whole of it but for the last "\n".
 */
export const catFile: Framing = {
  parser(): FramingParser {
    let bytes = Buffer.alloc(0);
    let at = 0;
    const chunks: Buffer[] = [];
    let waiting = 0;
    let needed = 1;
    return {
      get isInsideMessage() {
        return waiting + bytes.length - at > 0;
      },
      write(chunk) {
        chunks.push(chunk);
        waiting += chunk.length;
      },
      next() {
        if (bytes.length - at + waiting < needed) return undefined;
        bytes = Buffer.concat([bytes.subarray(at), ...chunks.splice(0)]);
        at = waiting = 0;
        const newline = bytes.indexOf('\n');
        needed = bytes.length + 1;
        if (newline === -1) return undefined;
        const size = / (\d+)$/.exec(bytes.toString('latin1', 0, newline))?.[1];
        const end = size === undefined ? newline : newline + 1 + Number(size);
        needed = end + 1;
        if (bytes.length < needed) return undefined;
        at = needed;
        needed = 1;
        return bytes.subarray(0, end);
      },
      end() {
        if (this.isInsideMessage) throw new Error('git ended inside an object');
      },
    };
  },
  writer: () => lines().writer(),
};
