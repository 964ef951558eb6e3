"""A user's own policy, named by its import path: ``mypkg.mine:Policy``. docs/policies.md has the contract.

Its class has four functions, ``init``, ``select``, ``combine`` and ``observe``, of the arguments that
``clipper.selection.policy`` says. What else a policy has, it may have; ``Custom`` stands in for what it leaves out,
and looks at all that its functions return: one that is wrong costs queries their answers, never the frontend its
sanity.
"""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from clipper.errors import BadRequest, InternalError
from clipper.fragments import as_fragment, is_fragment
from clipper.selection.policy import Choice, Combined, Context, Decision, State
from clipper.types import ModelVersion

REQUIRED: Final = {
    "init": ("models",),
    "select": ("state", "context", "models", "rng"),
    "combine": ("state", "context", "outputs", "missing"),
    "observe": ("state", "context", "decision", "losses"),
}
OPTIONAL: Final = {
    "relink": ("state", "models"),
    "prior": ("state",),
    "ask_more": ("state", "context", "models", "outputs"),
    "weights": ("state",),
}
_WHERE: Final = "It must be installed where the query frontends run, or be in a folder of their PYTHONPATH"


class PolicyError(InternalError):
    """A user's own policy raised, or gave what Clipper can't use."""

    title = "Policy error"


def load(path: str, params: Mapping[str, object]) -> Custom:
    """The policy of this import path, made with these parameters. BadRequest says what is wrong with either."""
    made = _made(path, _class_of(path), params)
    for name, arguments in {**REQUIRED, **OPTIONAL}.items():
        _check_signature(path, made, name, arguments)
    return Custom(path, made)


def _class_of(path: str) -> type:
    module_name, _, class_name = path.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), class_name)):
        raise BadRequest(f"The selection policy '{path}' is no import path: write it as package.module:Class")
    found = getattr(_module(path, module_name), class_name, None)
    if found is None:
        raise BadRequest(f"The selection policy '{path}': the module {module_name} has no {class_name}")
    if not isinstance(found, type):
        raise BadRequest(f"The selection policy '{path}' is not a class but {type(found).__name__}: name the class")
    missing = [name for name in REQUIRED if not callable(getattr(found, name, None))]
    if missing:
        raise BadRequest(f"The selection policy '{path}' lacks {', '.join(missing)}: a policy has {_all_required()}")
    return found


def _module(path: str, name: str) -> object:
    importlib.invalidate_caches()  # it may have been installed since the frontend started
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise BadRequest(f"The selection policy '{path}': there is no module {error.name}. {_WHERE}") from None
        raise BadRequest(f"The selection policy '{path}' can't be imported: {_told(error)}. {_WHERE}") from None
    except (Exception, SystemExit) as error:
        raise BadRequest(f"The selection policy '{path}' can't be imported: {_told(error)}") from None


def _made(path: str, cls: type, params: Mapping[str, object]) -> object:
    try:
        return cls(**params)
    except (Exception, SystemExit) as error:
        given = ", ".join(params) or "no parameters"
        raise BadRequest(f"The selection policy '{path}' can't be made with {given}: {_told(error)}") from None


def _check_signature(path: str, made: object, name: str, arguments: tuple[str, ...]) -> None:
    function = getattr(made, name, None)
    if function is None:
        return
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        raise BadRequest(
            f"The selection policy '{path}': {name} must take ({', '.join(('self', *arguments))}), in this order"
        ) from None


def _all_required() -> str:
    return ", ".join(f"{name}({', '.join(arguments)})" for name, arguments in REQUIRED.items())


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Custom:
    """The full protocol around a user's policy. Raises PolicyError, and nothing else.

    Without ``relink`` a change of the links starts anew; without ``prior`` a user starts from everybody's state as it
    is; without ``ask_more`` no more are asked. A policy learns, and wants to see the input again with the feedback,
    unless it says ``learns = False`` or ``contextual = False``.
    """

    __slots__ = ("_path", "_policy", "contextual", "learns")

    def __init__(self, path: str, policy: Any) -> None:
        self._path = path
        self._policy = policy
        self.learns = bool(getattr(policy, "learns", True))
        self.contextual = bool(getattr(policy, "contextual", True))

    def _has(self, name: str) -> bool:
        return callable(getattr(self._policy, name, None))

    def _call(self, name: str, *arguments: object) -> Any:
        function: Callable[..., Any] = getattr(self._policy, name)
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:  # exit() would end the frontend
            raise self._error(name, f"raised {_told(error)}") from error

    def _error(self, name: str, what: str) -> PolicyError:
        return PolicyError(f"{name} of the selection policy '{self._path}' {what}")

    def _state(self, name: str, *arguments: object) -> State:
        state = self._call(name, *arguments)
        try:
            msgspec.msgpack.encode(state)
        except Exception as error:
            raise self._error(name, f"gave a state that can't be kept as MessagePack: {_told(error)}") from None
        return state

    def init(self, models: Sequence[str]) -> State:
        return self._state("init", models)

    def relink(self, state: State, models: Sequence[str]) -> State:
        return self._state("relink", state, models) if self._has("relink") else self.init(models)

    def prior(self, state: State) -> State:
        return self._state("prior", state) if self._has("prior") else state

    def select(
        self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        choices = self._choices("select", self._call("select", state, context, models, rng), models)
        if not choices:
            raise self._error("select", "gave no model to ask")
        return choices

    def ask_more(
        self, state: State, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        if not self._has("ask_more"):
            return ()
        return self._choices("ask_more", self._call("ask_more", state, context, models, outputs), models)

    def _choices(self, name: str, found: Any, models: Sequence[ModelVersion]) -> list[Choice]:
        try:
            choices = [Choice(ModelVersion(*model), float(propensity)) for model, propensity in found]
        except (TypeError, ValueError):
            raise self._error(name, f"gave {_shown(found)}, not a list of (model, propensity)") from None
        for model, propensity in choices:
            if model not in models:
                raise self._error(
                    name, f"gave {_shown(model)}, which is not one of the models that it may choose from"
                )
            if not 0.0 < propensity <= 1.0:
                raise self._error(name, f"gave the propensity {propensity}: it must be above 0, and 1 at most")
        if len({choice.model for choice in choices}) < len(choices):
            raise self._error(name, "gave a model twice")
        return choices

    def combine(
        self,
        state: State,
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        found = self._call("combine", state, context, outputs, missing)
        if found is None:
            return None
        try:
            output, confidence, *more = found
            settled, ceiling = more or (not missing, 1.0 if missing else confidence)
            combined = Combined(self._output(output), float(confidence), bool(settled), float(ceiling))
        except (TypeError, ValueError):
            raise self._error("combine", f"gave {_shown(found)}, not (output, confidence) or None") from None
        if not 0.0 <= combined.confidence <= 1.0:
            raise self._error("combine", f"gave the confidence {confidence}: it must be from 0 to 1")
        if not 0.0 <= combined.ceiling <= 1.0:
            raise self._error("combine", f"gave the ceiling {ceiling}: it must be from 0 to 1")
        return combined

    def _output(self, output: object) -> bytes:
        if isinstance(output, str):
            return as_fragment(output)
        if not isinstance(output, bytes):
            raise self._error(
                "combine", f"gave an output of type {type(output).__name__}: give JSON as bytes, or a str"
            )
        if not is_fragment(output):
            raise self._error("combine", f"gave the output {_shown(output)}, which is not JSON")
        return output

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        return self._state("observe", state, context, decision, losses)

    def weights(self, state: State) -> dict[str, float]:
        """Those of the policy; none if it tells none."""
        if not self._has("weights"):
            return {}
        found = self._call("weights", state)
        try:
            return {str(name): float(weight) for name, weight in found.items()}
        except (AttributeError, TypeError, ValueError):
            raise self._error(
                "weights", f"gave {_shown(found)}, not a dict of numbers by the name of a model"
            ) from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
