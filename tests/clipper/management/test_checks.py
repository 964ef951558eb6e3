import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipper.errors import BadRequest
from clipper.management.checks import (
    RESERVED_NAMES,
    canonical_input_type,
    check_application,
    check_model,
    policy_of,
)
from clipper.selection.policies import POLICY_NAMES
from clipper.types import Application, Model


def application(**fields):
    complete = {"name": "a", "input_type": "doubles", "default_output": "", "latency_slo_micros": 1, **fields}
    return Application(**complete)


def model(**fields):
    return Model(**{"name": "m", "version": "1", "input_type": "doubles", **fields})


@pytest.mark.parametrize(
    "name", ["a", "A1", "hello-world", "a.b_c-d", "0", "x" * 128, "Admin", "v3", "administrator"]
)
def test_application_names(name):
    check_application(application(name=name))


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "..", "a..b", ".a", "a.", "-a", "a-", "_a", "é", "a\n", "a%20b", "a?", "x" * 129, "a:b"],
)
def test_bad_application_names(name):
    with pytest.raises(BadRequest, match=r"Invalid application name supplied: .+"):
        check_application(application(name=name))


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_names_of_clippers_own_paths(name):
    with pytest.raises(BadRequest, match=f"Clipper itself answers at /{name}: choose another"):
        check_application(application(name=name))


@given(st.text(max_size=10))
@example("a\n")
def test_an_accepted_application_name_is_one_plain_path_segment(name):
    try:
        check_application(application(name=name))
    except BadRequest:
        return
    assert name.isascii()
    assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert ".." not in name


@pytest.mark.parametrize("slo", [1, 3_600_000_000])
def test_slo(slo):
    check_application(application(latency_slo_micros=slo))


@pytest.mark.parametrize("slo", [0, -1, 3_600_000_001])
def test_bad_slo(slo):
    with pytest.raises(
        BadRequest, match=f"latency_slo_micros is {slo}: it must be from 1 to 3600000000 microseconds"
    ):
        check_application(application(latency_slo_micros=slo))


def test_default_output_is_bounded_in_bytes():
    check_application(application(default_output="é" * (1 << 19)))
    with pytest.raises(BadRequest, match="default_output is longer than 1048576 bytes"):
        check_application(application(default_output="é" * (1 << 19) + "x"))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf])
def test_bad_confidence_threshold(threshold):
    with pytest.raises(BadRequest, match=r"confidence_threshold is .*: it must be from 0 to 1"):
        check_application(application(confidence_threshold=threshold))


def test_bad_selection():
    with pytest.raises(BadRequest, match="Unknown selection policy 'best': choose one of single, split"):
        check_application(application(selection_policy="best"))
    for policy, params in (("single", {"epsilon": 0.1}), ("hedge", {"eta": "fast"}), ("split", {"weights": {}})):
        with pytest.raises(BadRequest, match=f"The selection policy '{policy}'"):
            check_application(application(selection_policy=policy, policy_params=params))
    with pytest.raises(BadRequest, match="Unknown loss 'logistic': choose one of zero_one, absolute, squared"):
        check_application(application(loss="logistic"))


@pytest.mark.parametrize("policy", POLICY_NAMES)
@pytest.mark.parametrize("loss", ["zero_one", "absolute", "squared"])
def test_selection(policy, loss):
    check_application(application(selection_policy=policy, confidence_threshold=1.0, loss=loss, loss_scale=0.1))
    assert policy_of(application(selection_policy=policy, loss=loss)).init(("m", "n")) is not None


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_bad_loss_scale(scale):
    with pytest.raises(BadRequest, match=f"loss_scale is {scale}: it must be more than 0"):
        check_application(application(loss_scale=scale))


@pytest.mark.parametrize("batch_size", [-1, 1, 1 << 20])
def test_batch_size(batch_size):
    check_model(model(batch_size=batch_size))


@pytest.mark.parametrize("batch_size", [0, -2])
def test_bad_batch_size(batch_size):
    with pytest.raises(BadRequest) as caught:
        check_model(model(batch_size=batch_size))
    assert caught.value.cause == "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1"


def test_too_large_batch_size():
    with pytest.raises(BadRequest, match="at most 1048576"):
        check_model(model(batch_size=(1 << 20) + 1))


@pytest.mark.parametrize("batching", ["aimd", "quantile"])
@pytest.mark.parametrize("delay", [-1, 0, 1, 3_600_000_000])
def test_batching(batching, delay):
    check_model(model(batching=batching, batch_delay_micros=delay))


@pytest.mark.parametrize("batching", ["", "AIMD", "fixed"])
def test_unknown_batching(batching):
    with pytest.raises(BadRequest, match=f"Unknown batching '{batching}': choose one of aimd, quantile"):
        check_model(model(batching=batching))


@pytest.mark.parametrize("delay", [-2, 3_600_000_001])
def test_bad_batch_delay(delay):
    with pytest.raises(BadRequest, match=rf"is {delay}: it must be from 0 \(none\) to 3600000000 .* or -1 to learn"):
        check_model(model(batch_delay_micros=delay))


@pytest.mark.parametrize("value", ["a,b", "a:b", ":", ","])
@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("model name", lambda value: model(name=value)),
        ("model version", lambda value: model(version=value)),
        ("label", lambda value: model(labels=("fine", value))),
    ],
)
def test_prohibited_characters(what, make, value):
    with pytest.raises(BadRequest) as caught:
        check_model(make(value))
    assert caught.value.cause == f"Invalid {what} supplied: {value}. Contains one of: ',', ':'"


@pytest.mark.parametrize("value", ["a b", "a/b", "..", "a..b", ".", "\t", "a\n", "\x00", "", "x" * 129, "a\u2028"])
@pytest.mark.parametrize("field", ["name", "version"])
def test_bad_model_names_and_versions(field, value):
    with pytest.raises(BadRequest, match=f"Invalid model {field} supplied"):
        check_model(model(**{field: value}))


def test_labels_are_free_text():
    check_model(model(name="müller.v2", version="2024-01-01_a", labels=("best so far", "a/b", "..")))
    for label in ("", "a\nb", "x" * 129):
        with pytest.raises(BadRequest, match="Invalid label supplied"):
            check_model(model(labels=(label,)))


def test_the_batch_size_is_checked_before_names():
    with pytest.raises(BadRequest, match="batch size"):
        check_model(model(name="a:b", batch_size=0))


@pytest.mark.parametrize(
    ("canonical", "aliases"),
    [
        ("bytes", ("bytes", "byte", "b")),
        ("integers", ("integers", "ints", "integer", "int", "i")),
        ("floats", ("floats", "float", "f")),
        ("doubles", ("doubles", "double", "d")),
        ("strings", ("strings", "string", "str", "strs", "s")),
    ],
)
def test_input_types(canonical, aliases):
    assert {canonical_input_type(alias) for alias in aliases} == {canonical}


@pytest.mark.parametrize("text", ["", "Doubles", " doubles", "complex"])
def test_bad_input_types(text):
    with pytest.raises(BadRequest) as caught:
        canonical_input_type(text)
    assert caught.value.cause.startswith(f"{text} is not a valid input string")
