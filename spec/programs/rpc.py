"""Speaks JSON-RPC by lines, and does what each request's method says."""
import json
import sys

held = []


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def raw(text):
    sys.stdout.write(text)
    sys.stdout.flush()


mode = sys.argv[1] if len(sys.argv) > 1 else ""
if mode == "greets":
    # a greeting, a log, an event and a call in one write
    raw('hello\n{"jsonrpc":"2.0","method":"log","params":"up"}\nnot json\n{"jsonrpc":"2.0","id":"c0","method":"who"}\n')
if mode == "dies":
    raw("hello\n")
    sys.exit(4)

while True:
    line = sys.stdin.readline()
    if line == "":
        if mode == "stays":
            import time

            time.sleep(60)
        break
    message = json.loads(line)
    method, id, params = message.get("method"), message.get("id"), message.get("params")
    if method is None:
        say({"method": "answered", "params": {"id": id, "result": message.get("result"), "error": message.get("error")}})
    elif id is None:
        say({"method": "noted", "params": {"method": method, "params": params}})
    elif method == "hold":
        held.append((id, params))
    elif method == "release":
        for one, value in reversed(held):
            say({"id": one, "result": value})
        held.clear()
        say({"id": id, "result": params})
    elif method == "never":
        pass
    elif method == "error":
        say({"id": id, "error": {"code": -7, "message": "no", "data": params}})
    elif method == "call":
        say({"id": "c%d" % id, "method": "ask", "params": params})
        # the result comes when the answer does
        answer = json.loads(sys.stdin.readline())
        while answer.get("id") != "c%d" % id:
            if answer.get("method") == "echo":
                say({"id": answer["id"], "result": answer.get("params")})
            answer = json.loads(sys.stdin.readline())
        say({"id": id, "result": answer.get("result", answer.get("error"))})
    elif method == "calls":
        raw("".join('{"jsonrpc":"2.0","id":"m%d","method":"ask","params":%d}\n' % (n, n) for n in range(params)))
        say({"id": id, "result": params})
    elif method == "progress":
        token = (params or {}).get("_meta", {}).get("progressToken")
        if token is None:
            say({"id": id, "result": "no token"})
        else:
            import time

            for n in range(params["times"]):
                say({"method": "notifications/progress", "params": {"progressToken": token, "progress": n}})
                time.sleep(params.get("everyMs", 0) / 1000)
            say({"id": id, "result": "done"})
            say({"method": "notifications/progress", "params": {"progressToken": token, "progress": "late"}})
    elif method == "twice":
        raw("".join('{"jsonrpc":"2.0","id":%d,"result":%d}\n' % (id, n) for n in (1, 2)))
    elif method == "stranger":
        say({"id": 999999, "result": 0})
        say({"id": id, "result": 0})
    elif method == "noise":
        raw("Warning: this is no JSON\n")
        say({"id": id, "result": params})
    elif method == "event then reply":
        raw('{"jsonrpc":"2.0","id":%d,"result":1}\n{"jsonrpc":"2.0","method":"ready"}\n' % id)
    elif method == "busy":
        import time

        time.sleep(params / 1000)
        say({"id": id, "result": params})
    elif method == "die":
        sys.exit(params)
    else:
        say({"id": id, "result": params})
