"""A port program in Python: new Port('python3', ['child.py']); with the argument fd3, frames come on 3 and leave on 4"""
import os
import sys

if sys.argv[1:] == ["fd3"]:
    frames_in, frames_out = os.fdopen(3, "rb"), os.fdopen(4, "wb")
else:
    # Frames keep the real stdout. Whatever prints to stdout from now on, a C library or a subprocess too, goes to stderr.
    frames_in, frames_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)


def answer(message: bytes) -> bytes:
    return message  # your work goes here


while header := frames_in.read(4):  # a buffered read waits for all 4 bytes; b"" is the end of the input
    length = int.from_bytes(header, "big")
    message = frames_in.read(length)
    if len(header) < 4 or len(message) < length:
        sys.exit("the input ended inside a frame")
    reply = answer(message)
    frames_out.write(len(reply).to_bytes(4, "big") + reply)
    frames_out.flush()  # or the host waits forever
