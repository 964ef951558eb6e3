"""The live view of the registry: what each application asks, and what the executor is told."""

from functools import reduce

import pytest
from msgspec.structs import replace

from clipper.catalog import IDLE_SLO, Catalog
from clipper.errors import QueryProcessingError
from clipper.execution.model import ModelSettings
from clipper.management import rules, rules_links
from clipper.types import Application, Model, ModelVersion, Registry


def app(name="app", policy="majority_vote", slo=20_000):
    return Application(
        name=name, input_type="doubles", default_output="-1", latency_slo_micros=slo, selection_policy=policy
    )


def model(name, version="1", **fields):
    return Model(name=name, version=version, input_type="doubles", **fields)


def registry_of(*models, apps=None):
    """Registers these, each with the revision that the store would give."""
    registry = Registry(applications={each.name: each for each in apps or [app()]})
    return reduce(lambda r, each: replace(rules.add_model(r, each), revision=r.revision + 1), models, registry)


def catalog_of(registry):
    catalog = Catalog()
    catalog.apply(registry)
    return catalog


def test_settings_of_a_model():
    catalog = catalog_of(registry_of(model("a", batch_size=3, batching="quantile", batch_delay_micros=-1)))
    assert catalog.model_settings() == {
        ModelVersion("a", "1"): ModelSettings(1, "doubles", 3, IDLE_SLO, "quantile", -1),
    }


def test_other_batching_is_the_same_registration():
    registry = registry_of(model("a"))
    changed = rules.set_batching(registry, "a", "1", {"batch_size": 1})
    (before,) = catalog_of(registry).model_settings().values()
    (after,) = catalog_of(changed).model_settings().values()
    assert after != before
    assert after.registration == before.registration == 1


def test_batches_are_sized_for_the_shortest_objective():
    registry = registry_of(model("a"), apps=[app(), app("hasty", "single", 5_000)])
    for name in ("app", "hasty"):
        registry = rules_links.add_model_links(registry, name, ["a"])
    (settings,) = catalog_of(registry).model_settings().values()
    assert settings.slo == 0.005


def test_an_ensemble_follows_its_links():
    registry = registry_of(model("a"), model("b"), model("b", "2"))
    catalog = catalog_of(rules_links.add_model_links(registry, "app", ["a"]))
    view = catalog.apps["app"]
    assert (view.ensemble, view.models, view.linked) == (False, (ModelVersion("a", "1"),), ("a",))
    linked = rules_links.add_model_links(registry, "app", ["a", "b"])
    catalog.apply(linked)
    assert catalog.apps["app"] is view
    assert view.ensemble
    assert view.models == (ModelVersion("a", "1"), ModelVersion("b", "2"))
    catalog.apply(rules_links.delete_model_links(linked, "app", ["a"]))
    assert (view.ensemble, view.models, view.linked) == (False, (ModelVersion("b", "2"),), ("b",))


def test_a_linked_model_without_a_current_version_is_not_asked():
    linked = rules_links.add_model_links(registry_of(model("a"), model("b")), "app", ["a", "b"])
    view = catalog_of(rules.delete_versioned_model(linked, "b", "1")).apps["app"]
    assert view.models == (ModelVersion("a", "1"),)
    assert view.ensemble


def test_a_version_can_be_asked_of_one_model():
    registry = registry_of(model("a"), model("a", "2"), model("b"))
    catalog = catalog_of(registry)
    view = catalog.apps["app"]
    with pytest.raises(QueryProcessingError, match="no model is linked to application: app"):
        catalog.versions_of(view, "1")
    catalog.apply(rules_links.add_model_links(registry, "app", ["a"]))
    assert catalog.versions_of(view, "1") == (ModelVersion("a", "1"),)
    with pytest.raises(QueryProcessingError, match="Requested version: 9 does not exist for model: a"):
        catalog.versions_of(view, "9")
    catalog.apply(rules_links.add_model_links(registry, "app", ["a", "b"]))
    with pytest.raises(
        QueryProcessingError, match=r"is linked to 2 models \(a, b\): a version can be asked of"
    ) as told:
        catalog.versions_of(view, "1")
    assert told.value.status == 400


def test_a_policy_that_is_not_there_costs_its_own_application_alone(caplog):
    registry = registry_of(model("a"), apps=[app(), app("broken", "nowhere.at_all:Policy")])
    catalog = catalog_of(registry)
    assert set(catalog.apps) == {"app", "broken"}
    assert "application broken can't be served: The selection policy 'nowhere.at_all:Policy'" in caplog.text


@pytest.mark.parametrize(
    ("policy", "shadows", "feedback", "selects"),
    [
        ("single", (), False, False),
        ("single", ("b",), False, True),
        ("single", (), True, True),
        ("split", (), False, True),
        ("hedge", (), False, True),
    ],
)
def test_only_an_application_of_one_model_without_feedback_leaves_its_policy_out(policy, shadows, feedback, selects):
    registry = replace(registry_of(model("a"), model("b"), apps=[app(policy=policy)]), links={"app": ("a",)})
    view = catalog_of(replace(registry, shadows={"app": shadows})).apps["app"]
    if feedback:
        view.note_feedback()
    assert view.selects is selects
    assert view.shadows == tuple(ModelVersion(name, "1") for name in shadows)
