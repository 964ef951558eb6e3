"""The rules for links with the original's texts (reference 3.3), and those for shadows, on registries alone."""

import pytest
from msgspec.structs import replace

from clipper.errors import BadRequest, Conflict, NotFound
from clipper.management import rules, rules_links
from clipper.selection.policies import POLICY_NAMES
from clipper.types import Registry
from tests.clipper.management.test_rules import LINKED, app, model, refused, registry_of

WAY_OUT = (
    ", or let the application have several: set_selection_policy gives it a policy that chooses among models or "
    "combines them, such as majority_vote or hedge; as a shadow a model needs no such policy."
)
SHADOWED = rules_links.add_model_links(LINKED, "app", ["n"], shadow=True)


def test_add_model_links():
    assert LINKED.links == {"app": ("m",)}


def test_link_to_unknown_app():
    with refused(NotFound, "No app with name 'nope' exists."):
        rules_links.add_model_links(LINKED, "nope", ["m"])


def test_link_unknown_model():
    with refused(NotFound, "No model with name 'nope' exists."):
        rules_links.add_model_links(LINKED, "app", ["nope"])


def test_link_model_of_another_input_type():
    registry = registry_of(app(), model(input_type="ints"))
    with refused(
        BadRequest,
        "Model with name 'm' has incompatible input_type 'integers'. "
        "Requested app to link to has input_type 'doubles'.",
    ):
        rules_links.add_model_links(registry, "app", ["m"])


def test_the_current_version_decides_whether_a_model_can_be_linked():
    registry = registry_of(app(), model(version="1", input_type="ints"), model(version="2"))
    assert rules_links.add_model_links(registry, "app", ["m"]).links == {"app": ("m",)}
    with pytest.raises(BadRequest, match="incompatible input_type 'integers'"):
        rules_links.add_model_links(rules.set_model_version(registry, "m", "1"), "app", ["m"])


def test_link_no_model():
    with refused(BadRequest, "Please provide the name of the model that you want to link to the application 'app'"):
        rules_links.add_model_links(LINKED, "app", [])


def test_link_several_models_at_once():
    with refused(
        BadRequest,
        "Applications must be linked with at most one model. Attempted to add links to 2 models. "
        f"Link one of them{WAY_OUT}",
    ):
        rules_links.add_model_links(registry_of(app(), model(), model("n")), "app", ["m", "n"])


def test_link_the_same_model_again():
    with refused(Conflict, "The model with name 'm' is already linked to 'app'"):
        rules_links.add_model_links(LINKED, "app", ["m"])


def test_link_a_second_model_to_an_app_that_asks_one():
    with refused(Conflict, f"A model with name m is already linked to 'app'. Unlink that one first{WAY_OUT}"):
        rules_links.add_model_links(LINKED, "app", ["n"])


@pytest.mark.parametrize("policy", [name for name in POLICY_NAMES if name != "single"])
def test_any_other_policy_has_room_for_several_models(policy):
    registry = registry_of(app(selection_policy=policy), model(), model("n"), model("o"))
    registry = rules_links.add_model_links(registry, "app", ["n"])
    registry = rules_links.add_model_links(registry, "app", ["m", "o"])
    assert registry.links == {"app": ("n", "m", "o")}
    assert rules_links.delete_model_links(registry, "app", ["m"]).links == {"app": ("n", "o")}
    with refused(Conflict, "The model with name 'o' is already linked to 'app'"):
        rules_links.add_model_links(registry, "app", ["o"])


def test_all_of_several_links_are_made_or_none():
    registry = registry_of(app(selection_policy="majority_vote"), model(), model("n", input_type="ints"))
    with refused(BadRequest, "The model with name 'm' is named twice: name it once"):
        rules_links.add_model_links(registry, "app", ["m", "m"])
    with pytest.raises(BadRequest, match="'n' has incompatible input_type 'integers'"):
        rules_links.add_model_links(registry, "app", ["m", "n"])


def test_link_checks_go_in_the_order_of_the_original():
    with pytest.raises(NotFound, match="No app with name"):
        rules_links.add_model_links(LINKED, "nope", [])
    with pytest.raises(NotFound, match="No model with name 'x'"):
        rules_links.add_model_links(LINKED, "app", ["m", "x"])


def test_delete_model_links():
    registry = rules_links.delete_model_links(LINKED, "app", ["m"])
    assert registry.links == {}
    assert rules_links.add_model_links(registry, "app", ["n"]).links == {"app": ("n",)}


def test_delete_links_of_unknown_app():
    with refused(NotFound, "No app with name nope exists."):
        rules_links.delete_model_links(LINKED, "nope", ["m"])


@pytest.mark.parametrize("names", [["n"], ["m", "n"]])
def test_delete_nonexistent_link(names):
    with refused(NotFound, "Cannot remove nonexistent link between app app and model n"):
        rules_links.delete_model_links(LINKED, "app", names)


def test_delete_some_of_several_links():
    registry = Registry(applications=LINKED.applications, links={"app": ("m", "n", "o")})
    assert rules_links.delete_model_links(registry, "app", ["o", "m"]).links == {"app": ("n",)}


def test_an_app_that_asks_one_model_may_have_shadows():
    registry = rules.add_model(SHADOWED, model("o"))
    registry = rules_links.add_model_links(registry, "app", ["o"], shadow=True)
    assert (registry.links, registry.shadows) == ({"app": ("m",)}, {"app": ("n", "o")})
    assert rules_links.models_of(registry, "app") == ("m", "n", "o")


def test_shadows_come_first_or_several_at_once():
    registry = registry_of(app(), model(), model("n"), model("o"))
    registry = rules_links.add_model_links(registry, "app", ["m", "n"], shadow=True)
    registry = rules_links.add_model_links(registry, "app", ["o"])
    assert (registry.links, registry.shadows) == ({"app": ("o",)}, {"app": ("m", "n")})


def test_a_model_is_linked_or_a_shadow():
    with refused(
        Conflict,
        "The model with name 'n' is already linked to 'app' as a shadow. Unlink it first, or promote it",
    ):
        rules_links.add_model_links(SHADOWED, "app", ["n"])
    for shadow in (True, False):
        with refused(Conflict, "The model with name 'm' is already linked to 'app'"):
            rules_links.add_model_links(SHADOWED, "app", ["m"], shadow=shadow)


def test_a_shadow_has_the_apps_input_type():
    registry = registry_of(app(), model(input_type="ints"))
    with pytest.raises(BadRequest, match="'m' has incompatible input_type 'integers'"):
        rules_links.add_model_links(registry, "app", ["m"], shadow=True)
    with pytest.raises(BadRequest, match="'n' is already linked to app 'app' using input type 'doubles'"):
        rules.add_model(SHADOWED, model("n", "2", input_type="ints"))


def test_unlinking_removes_either_kind():
    both = rules_links.delete_model_links(SHADOWED, "app", ["n", "m"])
    assert (both.links, both.shadows) == ({}, {})
    shadow = rules_links.delete_model_links(SHADOWED, "app", ["n"])
    assert (shadow.links, shadow.shadows) == ({"app": ("m",)}, {})


def test_deleting_the_app_removes_both():
    registry = rules.delete_app(SHADOWED, "app")
    assert registry == replace(SHADOWED, applications={}, links={}, shadows={})
