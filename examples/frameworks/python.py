"""A function, an object with state and a function by its name, each behind a REST endpoint.

    python examples/frameworks/python.py

Needs nothing more. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as deployer

WORDS = {"good": 1, "great": 2, "bad": -1, "awful": -2}


def score(texts):
    return [sum(WORDS.get(word, 0) for word in text.split()) for text in texts]


class Scorer:
    """What is learned is in the object, and goes along with it."""

    def __init__(self, words):
        self.words = dict(words)

    def __call__(self, texts):
        return [{"score": sum(map(self.score, text.split())), "words": len(text.split())} for text in texts]

    def score(self, word):
        return self.words.get(word, 0)


def upper(text):
    return text.upper()


def main():
    texts = ["a good day", "great but bad", "awful"]
    clipper_conn = ClipperConnection(LocalContainerManager(f"python-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "score", "strings", score)
        deployer.create_endpoint(clipper_conn, "scorer", "strings", Scorer(WORDS))
        deployer.create_endpoint(clipper_conn, "upper", "strings", upper, per_item=True)
        local = {"score": score(texts), "scorer": Scorer(WORDS)(texts), "upper": [upper(text) for text in texts]}
        for app, expected in local.items():
            served = [answer["output"] for answer in clipper_conn.predict_batch(app, texts)]
            assert served == expected
            print(f"{app} answers {served}: equals local")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
