"""The rules for policies and promotions, on registries alone."""

import pytest
from msgspec.structs import replace

from clipper.errors import BadRequest, Conflict, NotFound
from clipper.management import rules, rules_selection
from clipper.management.rules_links import add_model_links
from clipper.types import Registry
from tests.clipper.management.test_rules import app, model, refused, registry_of

SEVERAL = registry_of(
    app(selection_policy="hedge", confidence_threshold=0.6), model("a"), model("b"), model("c"), model("d")
)
SEVERAL = add_model_links(SEVERAL, "app", ["a", "b"])
SEVERAL = replace(add_model_links(SEVERAL, "app", ["c"], shadow=True), revision=20)


def changed(registry, **changes):
    return rules_selection.set_selection_policy(registry, "app", changes).applications["app"]


def test_another_policy_begins_another_epoch():
    was = SEVERAL.applications["app"]
    assert changed(SEVERAL, selection_policy="exp3", policy_params={"eta": 0.1}, loss="squared") == replace(
        was, selection_policy="exp3", policy_params={"eta": 0.1}, loss="squared", policy_epoch=21
    )


@pytest.mark.parametrize(
    ("changes", "epoch"),
    [
        ({}, 1),
        ({"selection_policy": "hedge"}, 1),
        ({"confidence_threshold": 0.9}, 1),
        ({"loss": "zero_one", "loss_scale": 1.0}, 1),
        ({"selection_policy": "exp4"}, 21),
        ({"policy_params": {"eta": 0.3}}, 21),
        ({"loss": "absolute"}, 21),
        ({"loss_scale": 2.0, "confidence_threshold": 0.9}, 21),
    ],
)
def test_what_was_learned_is_kept_if_it_is_still_of_use(changes, epoch):
    after = changed(SEVERAL, **changes)
    assert after == replace(SEVERAL.applications["app"], **changes, policy_epoch=epoch)


def test_an_application_of_an_older_clipper_gets_an_epoch_with_its_next_policy():
    old = registry_of(app())
    old = replace(old, applications={"app": replace(old.applications["app"], policy_epoch=0)})
    assert changed(old, confidence_threshold=0.5).policy_epoch == 0
    assert changed(old, selection_policy="ucb1").policy_epoch == 1


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"selection_policy": "best"}, "Unknown selection policy 'best': choose one of single"),
        ({"policy_params": {"rate": 0.1}}, "The selection policy 'hedge' has no parameter 'rate'"),
        ({"loss_scale": 0.0}, "loss_scale is 0.0"),
        ({"loss": "none"}, "Unknown loss 'none'"),
        ({"confidence_threshold": 1.5}, "confidence_threshold is 1.5"),
    ],
)
def test_policies_that_can_not_be_made(changes, cause):
    with pytest.raises(BadRequest, match=cause):
        changed(SEVERAL, **changes)


def test_single_has_no_room_for_several_models():
    with refused(
        Conflict,
        "The application 'app' is linked to 2 models (a, b), and the policy 'single' asks one: end the choice with "
        "promote_model, or unlink all but one first",
    ):
        changed(SEVERAL, selection_policy="single")
    registry = replace(SEVERAL, links={"app": ("a",)})
    assert changed(registry, selection_policy="single").selection_policy == "single"


@pytest.mark.parametrize("rule", [rules_selection.set_selection_policy, rules_selection.promote_model])
def test_an_unknown_application(rule):
    with refused(NotFound, "No application with name 'nope' exists."):
        rule(SEVERAL, "nope", {})


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_promotion_leaves_one_model(name):
    after = rules_selection.promote_model(SEVERAL, "app", name)
    assert (after.links, after.shadows, after.models) == ({"app": (name,)}, {}, SEVERAL.models)
    record = replace(SEVERAL.applications["app"], selection_policy="single", policy_params={}, policy_epoch=21)
    assert after.applications == {"app": record}


def test_promotion_of_the_only_model_changes_nothing():
    registry = replace(add_model_links(registry_of(app(), model()), "app", ["m"]), revision=9)
    assert rules_selection.promote_model(registry, "app", "m") == registry


def test_promotion_of_a_model_that_is_not_there():
    with refused(
        NotFound,
        "The model with name 'd' is neither linked to 'app' nor a shadow of it: link it first, or promote one of "
        "a, b, c",
    ):
        rules_selection.promote_model(SEVERAL, "app", "d")
    with refused(NotFound, "The model with name 'm' is neither linked to 'app' nor a shadow of it: link it first"):
        rules_selection.promote_model(registry_of(app()), "app", "m")


def test_promotion_of_a_model_without_current_version():
    with pytest.raises(Conflict, match="'a' has no current version"):
        rules_selection.promote_model(deleted(model("a", "2")), "app", "a")


def deleted(newer):
    registry = rules.add_model(SEVERAL, newer)
    return rules.delete_versioned_model(registry, newer.name, newer.version)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"a": (100, 0.3), "b": (40, 0.2), "c": (90, 0.25), "d": (90, 0.0)}, "b"),
        ({"a": (100, 0.3), "c": (30, 0.1)}, "c"),
        ({"c": (30, 0.3), "b": (30, 0.3)}, "b"),
    ],
)
def test_the_best_model(scores, best):
    assert rules_selection.best_model(SEVERAL, "app", scores) == best


def test_too_little_feedback_to_tell_the_best_model():
    way_out = "name the model to promote, or wait for more feedback"
    with refused(Conflict, f"No feedback has scored a model of application 'app' yet (0 of 30): {way_out}"):
        rules_selection.best_model(SEVERAL, "app", {"d": (99, 0.0)})
    with refused(
        Conflict,
        "The model of application 'app' with the least mean loss, 'b' with 0.25, was scored 29 times, and it takes "
        f"30 to be sure: {way_out}",
    ):
        rules_selection.best_model(SEVERAL, "app", {"a": (90, 0.5), "b": (29, 0.25)})


def test_rules_leave_the_registry_they_were_given():
    before = Registry(**{each: getattr(SEVERAL, each) for each in Registry.__struct_fields__})
    rules_selection.promote_model(SEVERAL, "app", "c")
    changed(SEVERAL, selection_policy="mean")
    assert before == SEVERAL
