"""Feedback as a query frontend would write it to the journal."""

from clipper.store.journal import DecisionRecord, Feedback
from clipper.types import ModelVersion


def decision(query_id=1, app="app", user="", epoch=1, linked=("a", "b"), shadows=(), **fields):
    asked = tuple((ModelVersion(name, "1"), 1.0) for name in linked)
    return DecisionRecord(
        **{
            "query_id": query_id,
            "app": app,
            "user": user,
            "at": 1.0,
            "epoch": epoch,
            "linked": tuple(linked),
            "asked": asked,
            "shadows": tuple(ModelVersion(name, "1") for name in shadows),
            "outputs": {f"{name}:1": b"7" for name in (*linked, *shadows)},
            "answer": b"7",
            "confidence": 1.0,
            "draw": 0.25,
            **fields,
        }
    )


def feedback(query_id=1, losses=None, label=b"7", loss=0.0, **fields):
    """``losses`` are by model; all of version 1."""
    by_version = {f"{name}:1": value for name, value in (losses or {}).items()}
    return Feedback(decision(query_id, **fields), 2.0, label, by_version, loss)
