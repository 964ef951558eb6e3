import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.names import canonical_input_type, check_model, may_have_image, version_text


@pytest.mark.parametrize("name", ["a", "0", "sum-model", "a1-b2", "a" * 63])
def test_good_names(name):
    check_model(name, "1")
    check_model("m", name)
    assert may_have_image(name, "1")
    assert may_have_image("m", name)


def test_names_that_can_be_registered_but_not_deployed():
    assert not may_have_image("My_Model", "1")
    assert not may_have_image("m", "1.0")
    assert not may_have_image("m", "1" * 64)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "1.0", "a b", "a/b", "..", "é", "a\n", "a:b", "a" * 64, None, 1]
)
def test_bad_names(name):
    with pytest.raises(ClipperException, match=r"(?s)Invalid value: .*: a model name must be"):
        check_model(name, "1")
    with pytest.raises(ClipperException, match=r"(?s)Invalid value: .*: a model version must be"):
        check_model("m", name)


@pytest.mark.parametrize(("alias", "canonical"), [("d", "doubles"), ("ints", "integers"), ("strings", "strings")])
def test_input_type_aliases(alias, canonical):
    assert canonical_input_type(alias) == canonical


@pytest.mark.parametrize("wrong", ["Doubles", "", "json", None, ["doubles"]])
def test_unknown_input_types(wrong):
    with pytest.raises(ClipperException, match=r"is not a valid input string: the input types are bytes, integers"):
        canonical_input_type(wrong)


def test_versions_are_text():
    assert version_text(1) == version_text("1") == "1"
    for wrong in (1.0, True, None):
        with pytest.raises(ClipperException, match="must be a str or an int"):
            version_text(wrong)
