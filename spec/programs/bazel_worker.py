"""
A worker as Bazel keeps them warm, multiplexed and cancellable: WorkRequests on stdin, each behind its length as a varint, and
WorkResponses on stdout in the order in which the work is done. It answers with its arguments, turned about, after as many
milliseconds as the first of them says; "fail" as the second gives exit code 1.
https://github.com/bazelbuild/bazel/blob/master/src/main/protobuf/worker_protocol.proto
"""
import sys
import threading

ARGUMENTS, REQUEST_ID, CANCEL = 1, 3, 4
EXIT_CODE, OUTPUT, WAS_CANCELLED = 1, 2, 4

lock = threading.Lock()
waiting = {}


def varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def read_varint(take):
    number, shift = 0, 0
    while True:
        byte = take(1)
        if byte == b"":
            return None
        number |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return number
        shift += 7


def fields(message):
    """The fields of one message: numbers, or bytes."""
    at = 0

    def take(count):
        nonlocal at
        at += count
        return message[at - count : at]

    while at < len(message):
        key = read_varint(take)
        yield key >> 3, read_varint(take) if key & 7 == 0 else take(read_varint(take))


def respond(request_id, numbers, output=""):
    text = output.encode()
    body = b"".join(varint(field << 3) + varint(value) for field, value in numbers.items())
    body += varint(OUTPUT << 3 | 2) + varint(len(text)) + text + varint(REQUEST_ID << 3) + varint(request_id)
    with lock:
        if waiting.pop(request_id, None) is None:
            return
        sys.stdout.buffer.write(varint(len(body)) + body)
        sys.stdout.buffer.flush()


while True:
    length = read_varint(sys.stdin.buffer.read)
    if length is None:
        break
    request = {REQUEST_ID: 0, CANCEL: 0}
    arguments = []
    for field, value in fields(sys.stdin.buffer.read(length)):
        if field == ARGUMENTS:
            arguments.append(value.decode())
        else:
            request[field] = value
    request_id = request[REQUEST_ID]
    if request[CANCEL]:
        respond(request_id, {WAS_CANCELLED: 1})
        continue
    failed = arguments[1] == "fail"
    result = " ".join(arguments[1:])[::-1]
    timer = threading.Timer(int(arguments[0]) / 1000, respond, (request_id, {EXIT_CODE: int(failed)}, result))
    timer.daemon = True
    with lock:
        waiting[request_id] = timer
    timer.start()
