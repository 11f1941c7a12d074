"""Scores reviews: a length and a JSON object in, a length and a JSON object out, until the input ends."""

import json
import re
import sys

WORD = re.compile(r"[a-z]+")
SYLLABLE = re.compile(r"[aeiouy]+")
FEELING = {"good": 1, "great": 2, "perfect": 3, "love": 2, "bad": -1, "poor": -2, "broken": -3, "hate": -2}


def score(review):
    text = review["text"]
    if not isinstance(text, str):
        return {"error": "the review has no text"}
    words = WORD.findall(text.lower())
    return {
        "id": review["id"],
        "words": len(words),
        "distinct": len(set(words)),
        "syllables": sum(len(SYLLABLE.findall(word)) for word in words),
        "feeling": sum(FEELING.get(word, 0) for word in words),
        # half a character, as a careless cut leaves it, has no bytes: this program dies of it
        "bytes": len(text.encode()),
    }


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while header := source.read(4):
        reply = json.dumps(score(json.loads(source.read(int.from_bytes(header, "big"))))).encode()
        sink.write(len(reply).to_bytes(4, "big") + reply)
        sink.flush()


if __name__ == "__main__":
    main()
