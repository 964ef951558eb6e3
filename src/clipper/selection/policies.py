"""Every selection policy by its name, made with parameters that have been checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from clipper.errors import BadRequest
from clipper.selection import params as checks
from clipper.selection.cascade import Cascade
from clipper.selection.combining import Combiner, Mean, Median, combiner_for
from clipper.selection.custom import load
from clipper.selection.epsilon_greedy import EpsilonGreedy
from clipper.selection.exp3 import Exp3
from clipper.selection.exp3_ix import Exp3Ix
from clipper.selection.exp4 import Exp4
from clipper.selection.hedge import Hedge
from clipper.selection.linucb import LinUcb
from clipper.selection.policy import SelectionPolicy
from clipper.selection.single import Single
from clipper.selection.split import Split
from clipper.selection.thompson import Thompson
from clipper.selection.ucb1 import Ucb1
from clipper.selection.vote import MajorityVote, Unweighted

IMPORT_MARK: Final = ":"
"""What the name of a user's own policy has: ``package.module:Class``."""


class App(NamedTuple):
    """What of its application a policy is made for."""

    loss: str
    loss_scale: float
    input_type: str


class Recipe(NamedTuple):
    """How a policy is made, of the parameters it takes."""

    make: Callable[..., SelectionPolicy]
    params: tuple[str, ...] = ()
    several: bool = False


def _combiner(app: App) -> Combiner:
    return combiner_for(app.loss, app.loss_scale)


def _mean(app: App, combine: object = None) -> SelectionPolicy:
    if combine is None:
        combine = "median" if app.loss == "absolute" else "mean"
    chosen = checks.one_of("combine", combine, ("mean", "median"))
    return Unweighted(Median(app.loss_scale) if chosen == "median" else Mean(app.loss_scale))


_RECIPES: Final[dict[str, Recipe]] = {
    "single": Recipe(lambda app: Single()),
    "split": Recipe(lambda app, **given: Split(**given), ("weights", "salt")),
    "epsilon_greedy": Recipe(lambda app, **given: EpsilonGreedy(**given), ("epsilon", "decay", "discount")),
    "ucb1": Recipe(lambda app, **given: Ucb1(**given), ("exploration", "discount")),
    "thompson": Recipe(lambda app, **given: Thompson(**given), ("discount",)),
    "exp3": Recipe(lambda app, **given: Exp3(**given), ("eta", "share")),
    "exp3_ix": Recipe(lambda app, **given: Exp3Ix(**given), ("scale",)),
    "linucb": Recipe(lambda app, **given: LinUcb(app.input_type, **given), ("alpha", "dimensions")),
    "majority_vote": Recipe(lambda app: MajorityVote(), (), True),
    "mean": Recipe(_mean, ("combine",), True),
    "exp4": Recipe(lambda app, **given: Exp4(_combiner(app), **given), ("eta", "share"), True),
    "hedge": Recipe(lambda app, **given: Hedge(_combiner(app), **given), ("eta", "share"), True),
    "cascade": Recipe(lambda app, **given: Cascade(_combiner(app), **given), ("confidence",), True),
}

POLICY_NAMES: Final = tuple(_RECIPES)
ENSEMBLES: Final = tuple(name for name, recipe in _RECIPES.items() if recipe.several)
"""Those that ask several models about one query."""
DRAW_ONE: Final = tuple(name for name, recipe in _RECIPES.items() if not recipe.several)
"""Those that ask one, and answer what it says."""


def make_policy(
    name: str, params: Mapping[str, object], loss: str, loss_scale: float, input_type: str
) -> SelectionPolicy:
    """The policy of an application; BadRequest, saying what is wrong, for a name or a parameter that is none."""
    if IMPORT_MARK in name:
        return load(name, params)
    recipe = _RECIPES.get(name)
    if recipe is None:
        known = ", ".join(POLICY_NAMES)
        raise BadRequest(
            f"Unknown selection policy '{name}': choose one of {known}, "
            "or your own by its import path, package.module:Class"
        )
    for param in params:
        if param not in recipe.params:
            raise BadRequest(f"The selection policy '{name}' has no parameter '{param}': {_known(recipe)}")
    try:
        return recipe.make(App(loss, loss_scale, input_type), **params)
    except ValueError as error:
        raise BadRequest(f"The selection policy '{name}': {error}") from None


def _known(recipe: Recipe) -> str:
    return f"it takes {', '.join(recipe.params)}" if recipe.params else "it takes none"
