# Echoes frames: python3 echo.py [1|2|4]
import sys

width = int(sys.argv[1]) if len(sys.argv) > 1 else 4
source, sink = sys.stdin.buffer, sys.stdout.buffer
while header := source.read(width):
    message = source.read(int.from_bytes(header, "big"))
    sink.write(len(message).to_bytes(width, "big") + message)
    sink.flush()
