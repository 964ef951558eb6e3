"""Numbers and labels as users give them, checked before anything is started with them. All raise ClipperException."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any, Final

from clipper_admin.defaults import DefaultNumber, DefaultSeconds
from clipper_admin.exceptions import ClipperException

LARGEST_BATCH: Final = 1 << 20
LONGEST_DELAY: Final = 3_600_000_000
BATCHING: Final = ("aimd", "quantile")
LONGEST_LABEL: Final = 128
LARGEST_PORT: Final = 65_535


def whole_number(what: str, value: object, least: int = 0) -> int:
    """``value``, if it is a whole number of at least ``least``; numpy's count as well."""
    number = _whole(value)
    if number is None or number < least:
        raise ClipperException(f"{what} must be {least} or more, a whole number, not {value!r}")
    return number


def seconds(what: str, value: object) -> float:
    """``value``, if it is a time to wait."""
    if isinstance(value, DefaultSeconds):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
        raise ClipperException(f"{what} must be more than 0, a number of seconds, not {value!r}")
    return float(value)


def tcp_port(what: str, value: object) -> int:
    """``value``, if it is a port, or 0, which stands for any."""
    number = _whole(value)
    if number is None or not 0 <= number <= LARGEST_PORT:
        raise ClipperException(
            f"{what}: {value!r} is not a TCP port; take one from 1 to {LARGEST_PORT}, or 0 for any free one."
        )
    return number


def batch_limit(value: object) -> int:
    """``value``, if a model can be given as many inputs at once, or -1, which stands for a size that is learned."""
    number = _whole(value)
    if number is None or not (number == -1 or 1 <= number <= LARGEST_BATCH):
        raise ClipperException(
            "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1: "
            f"give a whole number up to {LARGEST_BATCH}, not {value!r}"
        )
    return number


def log_level(value: str) -> str:
    """``value``, if it is a level that servers and containers log from."""
    from clipper.container.log import LEVELS  # as `import clipper_admin` loads nothing of clipper

    return _one_of("log_level", value, LEVELS)


def log_format(value: str) -> str:
    """``value``, if it is a form of their lines."""
    from clipper.container.log import FORMATS

    return _one_of("log_format", value, FORMATS)


def _one_of(what: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ClipperException(f"{what} must be one of {', '.join(known)}, not {value!r}")
    return value


def learning(value: object) -> str:
    """``value``, if it names a way to learn the size of batches."""
    if not isinstance(value, str) or value not in BATCHING:
        raise ClipperException(f"batching must be {' or '.join(map(repr, BATCHING))}, not {value!r}")
    return value


def batch_delay(value: object) -> int:
    """``value``, if a batch can wait so many microseconds for more queries, or -1, which stands for learned."""
    number = _whole(value)
    if number is None or not -1 <= number <= LONGEST_DELAY:
        raise ClipperException(
            "batch_delay_micros must be 0 (none), -1 (learned) or a number of microseconds: "
            f"give a whole number up to {LONGEST_DELAY}, not {value!r}"
        )
    return number


def batching_settings(batch_size: int | None, batching: str | None, batch_delay_micros: int | None) -> dict[str, Any]:
    """Those that are given, by their names in ``/admin``."""
    settings: dict[str, Any] = {}
    if batch_size is not None:
        settings["batch_size"] = batch_limit(batch_size)
    if batching is not None:
        settings["batching"] = learning(batching)
    if batch_delay_micros is not None:
        settings["batch_delay_micros"] = batch_delay(batch_delay_micros)
    return settings


def labels(value: Sequence[str] | None) -> list[str]:
    """``value`` as a list, if it is one of short texts without ``,`` and ``:``."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise ClipperException(f"labels must be a list of str, not {value!r}: write for example labels=['canary']")
    for label in value:
        _check_label(label)
    return list(value)


def _check_label(label: Any) -> None:
    if not isinstance(label, str) or not 1 <= len(label) <= LONGEST_LABEL:
        raise ClipperException(f"A label must be a str of 1 to {LONGEST_LABEL} characters, not {label!r}")
    if "," in label or ":" in label or not label.isprintable():
        raise ClipperException(f"The label {label!r} holds ',', ':' or what can't be printed: leave that out")


def _whole(value: Any) -> int | None:
    if isinstance(value, DefaultNumber):
        return value  # index() would forget what it is
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
