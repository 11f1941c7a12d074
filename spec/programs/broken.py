# Programs that break the port protocol, each in its own way: python3 broken.py WAY [1|2|4]
import os
import sys
import threading
import time

way = sys.argv[1]
width = int(sys.argv[2]) if len(sys.argv) > 2 else 4
order = "little" if way == "little-endian" else "big"
source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", 65536)


def read(count):
    return os.read(0, count) if way == "short-read" else source.read(count)


def answer(message):
    if way == "text-mode":
        message = message.decode("utf8", "replace").encode()
    if way == "print-on-stdout":
        print("got", len(message), "bytes", flush=True)
    length = len(message)
    if way == "wrong-length":
        length += 1  # as for a newline or a NUL that is not there
    if way == "length-counts-prefix":
        length += width
    prefix = b"" if way == "no-prefix" else length.to_bytes(width, order)
    if way == "adds-newline":
        message, prefix = message + b"\n", (length + 1).to_bytes(width, order)
    sink.write((prefix + message) * (2 if way == "extra-reply" else 1))
    if way != "no-flush":
        sink.flush()


if way == "banner":
    print("worker 1.0 is ready", flush=True)
if way == "line-based":
    for line in source:
        answer(line.rstrip(b"\n"))
    sys.exit()
if way == "one-read-one-message":
    while chunk := os.read(0, 1 << 20):
        answer(chunk[width:])
    sys.exit()
count = 0
while True:
    header = read(width)
    if not header:
        if way == "no-exit":
            time.sleep(60)
        if way == "drops-at-end":
            os._exit(0)
        sys.exit(1 if way == "fails-at-end" else 0)
    length = int.from_bytes(header, order, signed=way == "signed-length")
    if way == "length-counts-prefix":
        length -= width
    if way == "reads-too-much":
        length += 1
    if way == "empty-message" and length == 0:
        sys.exit()
    message = read(length)
    if way == "size-limit" and length > 65535:
        sys.exit("message too long")
    count += 1
    delay = {"drops-at-end": 0.1, "out-of-order": 0.1 * (count % 2)}.get(way, 0)
    if delay > 0:
        threading.Timer(delay, answer, [message]).start()
    else:
        answer(message)
    if way == "stops-after-first":
        sys.exit()
