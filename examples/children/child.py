"""A port program in Python: new Port('python3', ['child.py'])"""
import os
import sys

# Frames keep the real stdout. Whatever prints to stdout from now on, a C library or a subprocess too, goes to stderr.
frames_out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
frames_in = sys.stdin.buffer


def answer(message: bytes) -> bytes:
    return message  # your work goes here


while header := frames_in.read(4):  # a buffered read waits for all 4 bytes; b"" is the end of the input
    length = int.from_bytes(header, "big")
    message = frames_in.read(length)
    if len(header) < 4 or len(message) < length:
        sys.exit("the input ended inside a frame")
    reply = answer(message)
    frames_out.write(len(reply).to_bytes(4, "big") + reply)
    frames_out.flush()  # or the host waits for ever
