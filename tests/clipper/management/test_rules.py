"""The rules with the original's texts (reference 3.3), on registries alone."""

from functools import reduce

import pytest
from msgspec.structs import replace

from clipper.errors import BadRequest, Conflict, NotFound
from clipper.management import rules, rules_links
from clipper.types import Application, Model, ModelVersion, Registry


def app(name="app", input_type="doubles", **fields):
    return Application(
        **{
            "name": name,
            "input_type": input_type,
            "default_output": "-1.0",
            "latency_slo_micros": 100_000,
            **fields,
        }
    )


def model(name="m", version="1", input_type="doubles", **fields):
    return Model(name=name, version=version, input_type=input_type, **fields)


def registry_of(*records):
    """What results from registering these."""

    def add(registry, record):
        rule = rules.add_app if isinstance(record, Application) else rules.add_model
        return rule(registry, record)

    return reduce(add, records, Registry())


LINKED = rules_links.add_model_links(registry_of(app(), model(), model("n")), "app", ["m"])


def refused(error, cause):
    return pytest.raises(error, check=lambda raised: type(raised) is error and raised.cause == cause)


def test_add_app():
    given = {"confidence_threshold": 0.5, "loss": "squared", "loss_scale": 7.0, "selection_policy": "ucb1"}
    added = app(policy_epoch=4, **given)
    assert rules.add_app(Registry(revision=3), app(**given)) == Registry(revision=3, applications={"app": added})


def test_add_app_keeps_the_canonical_input_type():
    assert registry_of(app(input_type="ints")).applications["app"].input_type == "integers"


def test_add_app_twice():
    with refused(Conflict, "application 'app' already exists"):
        rules.add_app(registry_of(app()), app(input_type="bytes"))


def test_add_app_with_unknown_input_type():
    with pytest.raises(BadRequest, match=r"^Doubles is not a valid input string"):
        rules.add_app(Registry(), app(input_type="Doubles"))


def test_add_many_apps():
    registry = registry_of(*(app(f"a{i}") for i in range(500)))
    assert len(registry.applications) == 500
    for i in range(0, 500, 2):
        registry = rules.delete_app(registry, f"a{i}")
    assert list(registry.applications) == [f"a{i}" for i in range(1, 500, 2)]


def test_rules_leave_the_registry_they_were_given():
    before = registry_of(app(), model())
    copy = registry_of(app(), model())
    rules.delete_app(rules_links.add_model_links(before, "app", ["m"]), "app")
    rules.delete_versioned_model(before, "m", "1")
    assert before == copy


def test_delete_app_removes_its_links_and_no_others():
    registry = rules_links.add_model_links(rules.add_app(LINKED, app("other")), "other", ["m"])
    registry = rules.delete_app(registry, "app")
    assert list(registry.applications) == ["other"]
    assert registry.links == {"other": ("m",)}
    assert registry.models == LINKED.models


def test_an_app_registered_again_has_no_links():
    assert rules.add_app(rules.delete_app(LINKED, "app"), app(input_type="bytes")).links == {}


def test_delete_unknown_app():
    with refused(NotFound, "Application 'nope' does not exist"):
        rules.delete_app(LINKED, "nope")


def test_add_model_makes_it_current_and_takes_the_next_revision():
    added = model(input_type="d", labels=("a", "b"), batch_size=3, container_name="c", model_data_path="p")
    registry = rules.add_model(Registry(revision=8), added)
    assert registry.current_versions == {"m": "1"}
    assert registry.models == {
        ModelVersion("m", "1"): model(
            labels=("a", "b"), batch_size=3, container_name="c", model_data_path="p", registration=9
        )
    }
    assert rules.add_model(registry, model(version="0")).current_versions == {"m": "0"}


def test_add_model_twice():
    with refused(Conflict, "model with name 'm' and version '1' already exists"):
        rules.add_model(registry_of(model()), model())


def test_add_version_of_a_linked_model_under_an_alias_of_its_input_type():
    registry = rules_links.add_model_links(registry_of(app(input_type="i"), model(input_type="int")), "app", ["m"])
    registry = rules.add_model(registry, model(version="2", input_type="ints"))
    assert registry.current_versions == {"m": "2"}


def test_add_version_of_a_linked_model_with_another_input_type():
    with refused(
        BadRequest,
        "Model with name 'm' is already linked to app 'app' using input type 'doubles'. The input type you provided "
        "for a new version of the model, 'integers', is not compatible.",
    ):
        rules.add_model(LINKED, model(version="2", input_type="ints"))


def test_set_model_version():
    registry = registry_of(model(version="1"), model(version="2"), model(version="4"))
    assert registry.current_versions == {"m": "4"}
    assert rules.set_model_version(registry, "m", "2").current_versions == {"m": "2"}


def test_set_version_of_unknown_model():
    with refused(NotFound, "Cannot set version for nonexistent model 'nope'"):
        rules.set_model_version(LINKED, "nope", "1")


def test_set_unknown_version():
    with refused(NotFound, "Cannot set non-existent version '11' for model with name 'm'"):
        rules.set_model_version(LINKED, "m", "11")


def test_set_version_of_a_linked_model_with_another_input_type():
    registry = registry_of(app(), model(version="1", input_type="ints"), model(version="2"))
    registry = rules_links.add_model_links(registry, "app", ["m"])
    with refused(
        BadRequest,
        "Model with name 'm' is already linked to app 'app' using input type 'doubles'. The input type you provided "
        "for a new version of the model, 'integers', is not compatible.",
    ):
        rules.set_model_version(registry, "m", "1")


def test_set_batching_of_the_current_version_and_of_another():
    registry = Registry(revision=3, models=registry_of(model(batch_delay_micros=7)).models)
    registry = replace(rules.add_model(registry, model(version="2")), revision=4)
    changed = rules.set_batching(registry, "m", None, {"batch_size": 8})
    changed = rules.set_batching(changed, "m", "1", {"batching": "quantile", "batch_size": 1})
    assert changed.models == {
        ModelVersion("m", "1"): model(batch_size=1, batching="quantile", batch_delay_micros=7, registration=1),
        ModelVersion("m", "2"): model(version="2", batch_size=8, registration=4),
    }
    assert changed.current_versions == {"m": "2"}


def test_set_batching_of_what_is_not_there():
    with refused(NotFound, "No model with name 'nope' exists."):
        rules.set_batching(LINKED, "nope", None, {"batch_size": 1})
    with refused(NotFound, "model with name 'm' and version '9' does not exist"):
        rules.set_batching(LINKED, "m", "9", {"batch_size": 1})
    registry = rules.delete_versioned_model(registry_of(model(), model(version="2")), "m", "2")
    with pytest.raises(Conflict, match="'m' has no current version"):
        rules.set_batching(registry, "m", None, {"batch_size": 1})


def test_set_batching_to_nothing_or_to_nonsense():
    with refused(BadRequest, "Nothing to set: give batch_size, batching or batch_delay_micros"):
        rules.set_batching(LINKED, "m", None, {})
    with refused(BadRequest, "Unknown batching 'best': choose one of aimd, quantile"):
        rules.set_batching(LINKED, "m", None, {"batching": "best"})


def test_delete_versioned_model():
    registry = registry_of(model(version="1"), model(version="2"))
    registry = rules.delete_versioned_model(registry, "m", "1")
    assert list(registry.models) == [ModelVersion("m", "2")]
    assert registry.current_versions == {"m": "2"}


def test_delete_unknown_version_and_delete_twice():
    cause = "model with name 'm' and version '1' does not exist"
    with refused(NotFound, cause):
        rules.delete_versioned_model(Registry(), "m", "1")
    with refused(NotFound, cause):
        rules.delete_versioned_model(rules.delete_versioned_model(LINKED, "m", "1"), "m", "1")


def test_no_older_version_takes_over_from_a_deleted_current_one():
    registry = registry_of(app(), model(version="1"), model(version="2"))
    registry = rules.delete_versioned_model(rules_links.add_model_links(registry, "app", ["m"]), "m", "2")
    assert registry.current_versions == {}
    assert rules.current_model(registry, "m") is None
    assert registry.links == {"app": ("m",)}
    assert rules.set_model_version(registry, "m", "1").current_versions == {"m": "1"}
    assert rules.add_model(registry, model(version="3")).current_versions == {"m": "3"}


def test_a_model_without_current_version_can_not_be_linked():
    registry = registry_of(app(), model(version="1"), model(version="2"))
    registry = rules.delete_versioned_model(registry, "m", "2")
    with pytest.raises(Conflict, match=r"has no current version, for it was deleted. Set or register one first"):
        rules_links.add_model_links(registry, "app", ["m"])


def test_a_version_registered_again_is_another_registration():
    deleted = rules.delete_versioned_model(Registry(revision=1, models=LINKED.models), "m", "1")
    again = rules.add_model(Registry(revision=2, models=deleted.models), model())
    assert LINKED.models[ModelVersion("m", "1")].registration == 1
    assert again.models[ModelVersion("m", "1")].registration == 3
