"""What a single value of a request must be like, whatever is registered. All raise BadRequest."""

from __future__ import annotations

import math
import re
from typing import Final

from clipper.errors import BadRequest
from clipper.rpc.wire import parse_input_type
from clipper.selection.losses import LOSSES
from clipper.selection.policies import make_policy
from clipper.selection.policy import SelectionPolicy
from clipper.types import Application, Model

MAX_NAME: Final = 128
MAX_DEFAULT_OUTPUT: Final = 1 << 20
MAX_SLO_MICROS: Final = 3_600_000_000
MAX_BATCH: Final = 1 << 20
LEARN_BATCH_SIZE: Final = -1
LEARN_DELAY: Final = -1
MAX_DELAY_MICROS: Final = MAX_SLO_MICROS
BATCHING: Final = ("aimd", "quantile")

# An application's name is the first segment of its path, beside those of the query frontend itself.
RESERVED_NAMES: Final = frozenset({"admin", "metrics", "health", "v2", "docs", "openapi.json"})
_APPLICATION_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_MODEL_NAME_PROHIBITED: Final = (",", ":")


def canonical_input_type(text: str) -> str:
    """``doubles`` for ``d``."""
    try:
        return parse_input_type(text).value
    except ValueError as error:
        raise BadRequest(str(error)) from None


def check_application(application: Application) -> None:
    """Everything of an application, whose input type is canonical."""
    _check_application_name(application.name)
    if len(application.default_output.encode()) > MAX_DEFAULT_OUTPUT:
        raise BadRequest(f"default_output is longer than {MAX_DEFAULT_OUTPUT} bytes: give a shorter one")
    if not 1 <= application.latency_slo_micros <= MAX_SLO_MICROS:
        raise BadRequest(
            f"latency_slo_micros is {application.latency_slo_micros}: "
            f"it must be from 1 to {MAX_SLO_MICROS} microseconds (an hour)"
        )
    check_selection(application)


def check_selection(application: Application) -> None:
    """The policy of an application with its parameters, the threshold and the loss."""
    if not 0 <= application.confidence_threshold <= 1:
        raise BadRequest(f"confidence_threshold is {application.confidence_threshold}: it must be from 0 to 1")
    if application.loss not in LOSSES:
        raise BadRequest(f"Unknown loss '{application.loss}': choose one of {', '.join(LOSSES)}")
    if not 0 < application.loss_scale < math.inf:
        raise BadRequest(
            f"loss_scale is {application.loss_scale}: it must be more than 0, the error of a number whose loss is 1"
        )
    policy_of(application)


def policy_of(application: Application) -> SelectionPolicy:
    return make_policy(
        application.selection_policy,
        application.policy_params,
        application.loss,
        application.loss_scale,
        application.input_type,
    )


def check_model(model: Model) -> None:
    """Everything of a model version but its input type."""
    _check_batching(model)
    _check_path_segment("model name", model.name)
    _check_path_segment("model version", model.version)
    for label in model.labels:
        _check_text("label", label)


def _check_batching(model: Model) -> None:
    if model.batch_size != LEARN_BATCH_SIZE and model.batch_size < 1:
        raise BadRequest("The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1")
    if model.batch_size > MAX_BATCH:
        raise BadRequest(f"The batch size must be at most {MAX_BATCH}")
    if model.batching not in BATCHING:
        raise BadRequest(f"Unknown batching '{model.batching}': choose one of {', '.join(BATCHING)}")
    if model.batch_delay_micros != LEARN_DELAY and not 0 <= model.batch_delay_micros <= MAX_DELAY_MICROS:
        raise BadRequest(
            f"batch_delay_micros is {model.batch_delay_micros}: it must be from 0 (none) to {MAX_DELAY_MICROS} "
            "microseconds, or -1 to learn it"
        )


def _check_application_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise BadRequest(f"Invalid application name supplied: it has {len(name)} characters, at most {MAX_NAME} fit")
    if not _APPLICATION_NAME.fullmatch(name) or ".." in name:
        raise BadRequest(
            f"Invalid application name supplied: {name}. It must be letters, digits, '.', '_' and '-' of ASCII, "
            "begin and end with a letter or digit, and not contain '..'"
        )
    if name in RESERVED_NAMES:
        raise BadRequest(
            f"Invalid application name supplied: {name}. Clipper itself answers at /{name}: choose another"
        )


def _check_path_segment(what: str, value: str) -> None:
    """Names and versions of models become parts of paths, tags and host names."""
    _check_text(what, value)
    if "/" in value or ".." in value or value == "." or any(map(str.isspace, value)):
        raise BadRequest(f"Invalid {what} supplied: {value}. It must not contain '/', '..' or white space")


def _check_text(what: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_NAME:
        raise BadRequest(f"Invalid {what} supplied: it has {len(value)} characters, 1 to {MAX_NAME} fit")
    if any(character in value for character in _MODEL_NAME_PROHIBITED):
        raise BadRequest(f"Invalid {what} supplied: {value}. Contains one of: ',', ':'")
    if not value.isprintable():
        raise BadRequest(f"Invalid {what} supplied: {value!r}. It must consist of printable characters")
