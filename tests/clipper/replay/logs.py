"""Feedback logs made up for the tests: models whose losses are known, and a policy that has asked them."""

import base64
import json
import random
import struct

MODELS = ("a", "b", "c")


def line(position=1, **fields):
    """A line of a log that has asked ``a`` and got it right, but for what is given."""
    whole = {
        "position": position,
        "query_id": 16 + position,
        "app": "digits",
        "user": "",
        "decided_at": 1.0,
        "at": 2.0,
        "epoch": 3,
        "linked": list(MODELS),
        "asked": [{"model": "a:1", "propensity": 0.5}],
        "shadows": [],
        "outputs": {"a:1": 7},
        "answer": 7,
        "default": False,
        "confidence": 1.0,
        "draw": 0.3,
        "label": 7,
        "losses": {"a:1": 0.0},
        "loss": 0.0,
        "input_type": "doubles",
    }
    return {**whole, **fields}


def of_one(count, errors, propensities=None, seed=0, **fields):
    """A policy has asked one model a query, drawn by ``propensities``; models err as often as ``errors`` says."""
    rng, names = random.Random(seed), list(errors)
    odds = propensities or dict.fromkeys(names, 1 / len(names))
    for position in range(1, count + 1):
        outputs = outputs_of(rng, errors)
        name = rng.choices(names, [odds[each] for each in names])[0]
        yield line(
            position,
            linked=names,
            asked=[{"model": f"{name}:1", "propensity": odds[name]}],
            outputs={f"{name}:1": outputs[name]},
            answer=outputs[name],
            label=0,
            losses={f"{name}:1": float(outputs[name] != 0)},
            loss=float(outputs[name] != 0),
            **fields,
        )


def of_all(count, errors, seed=0, **fields):
    """All models were asked, and the first answered."""
    rng, names = random.Random(seed), list(errors)
    for position in range(1, count + 1):
        outputs = outputs_of(rng, errors)
        losses = {f"{name}:1": float(outputs[name] != 0) for name in names}
        yield line(
            position,
            linked=names,
            asked=[{"model": f"{name}:1", "propensity": 1.0} for name in names],
            outputs={f"{name}:1": outputs[name] for name in names},
            answer=outputs[names[0]],
            label=0,
            losses=losses,
            loss=losses[f"{names[0]}:1"],
            **fields,
        )


def outputs_of(rng, errors):
    """Right is 0; those who err say anything else."""
    return {name: rng.randint(1, 9) if rng.random() < error else 0 for name, error in errors.items()}


def doubles(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()


def write(path, lines):
    path.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in lines))
    return str(path)
