"""score.py for queue.ts: scores reviews, but one text hangs the program, and one kills the worker that asks."""

import json
import os
import signal
import sys
import time

from score import score

WORKER = os.getppid()


def answer(review):
    if review["text"] == "hang":
        while os.getppid() == WORKER:
            time.sleep(0.1)
        sys.exit(1)
    if review["text"] == "kill-host":
        os.kill(WORKER, signal.SIGKILL)
        time.sleep(1)
        sys.exit(1)
    return score(review)


source, sink = sys.stdin.buffer, sys.stdout.buffer
while header := source.read(4):
    reply = json.dumps(answer(json.loads(source.read(int.from_bytes(header, "big"))))).encode()
    sink.write(len(reply).to_bytes(4, "big") + reply)
    sink.flush()
