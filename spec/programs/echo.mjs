// Echoes frames, without a library: node echo.mjs [1|2|4]
import { readSync, writeSync } from 'node:fs';

const width = Number(process.argv[2] ?? 4);

function read(bytes) {
  const buffer = Buffer.alloc(bytes);
  for (let got = 0; got < bytes;) {
    const more = readSync(0, buffer, got, bytes - got);
    if (more === 0) process.exit(0);
    got += more;
  }
  return buffer;
}

function write(buffer) {
  for (let put = 0; put < buffer.length;) put += writeSync(1, buffer, put);
}

for (;;) {
  const header = read(width);
  const message = read(header.readUIntBE(0, width));
  write(Buffer.concat([header, message]));
}
