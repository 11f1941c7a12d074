#!/bin/sh
# A port program in the shell: new Port('sh', ['child.sh']). It starts a dozen programs for each message: for messages that
# are few. A variable would lose NUL bytes and newlines at the end, so messages live in files.

exec 3>&1 1>&2 # frames keep the real stdout, as 3; what prints to stdout from now on goes to stderr
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# Your work goes here: the message on stdin, the reply on stdout.
answer() { cat; }

fail() { echo "the input ended inside a frame" >&2; exit 1; }

# dd reads byte by byte, `head -c` no more than it copies; no byte at all is the end of the input.
while header=$(dd bs=1 count=4 2>/dev/null | od -An -tu1) && [ -n "$header" ]; do
  length=$(echo "$header" | awk '{ print NF < 4 ? -1 : (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')
  [ "$length" -ge 0 ] || fail
  head -c "$length" >"$folder/message"
  [ "$(wc -c <"$folder/message")" -eq "$length" ] || fail
  answer <"$folder/message" >"$folder/reply"
  prefix=$(wc -c <"$folder/reply" | awk '{ for (n = 24; n >= 0; n -= 8) printf "\\%03o", int($1 / 2 ^ n) % 256 }')
  { printf "$prefix"; cat "$folder/reply"; } >&3
done
