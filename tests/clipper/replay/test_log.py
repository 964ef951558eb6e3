"""Reading logs: what is right, and what is said of what is not."""

import io
import json

import pytest

from clipper.errors import BadRequest
from clipper.management.feedback_lines import feedback_line
from clipper.replay import log
from clipper.store.journal import DecisionRecord, Feedback
from clipper.store.journal import Entry as JournalEntry
from clipper.types import ModelVersion
from clipper_admin.feedback_file import write_feedback
from tests.clipper.replay.logs import line, write

A, B, MLP = ModelVersion("a", "1"), ModelVersion("b", ""), ModelVersion("mlp", "2")


@pytest.fixture
def read(tmp_path):
    return lambda *lines: list(log.read(write(tmp_path / "log.jsonl", lines)))


def test_an_entry(read):
    fields = {"shadows": ["mlp:2"], "outputs": {"a:1": {"x": [1]}, "mlp:2": None}, "linked": ["a", "b"], "user": "u"}
    entry = read(line(**fields, input="AAA="))[0]
    assert entry.models == (A, B)
    assert entry.shadows == (MLP,)
    assert entry.propensities == {A: 0.5, MLP: 1.0}
    assert entry.outputs == {A: b'{"x": [1]}', MLP: b"null"}
    assert (entry.answer, entry.label, entry.loss, entry.losses) == (b"7", b"7", 0.0, {A: 0.0})
    assert (entry.user, entry.app, entry.input_type, entry.input) == ("u", "digits", "doubles", "AAA=")
    assert entry.scorable


def test_a_default_and_a_loss_that_was_given(read):
    entry = read(line(answer=None, default=True, label=None, loss=None))[0]
    assert (entry.answer, entry.label, entry.loss) == (None, None, None)
    assert entry.scorable  # by the losses


@pytest.mark.parametrize("fields", [{"asked": []}, {"linked": []}, {"label": None, "losses": {}}])
def test_entries_that_say_nothing(read, fields):
    assert not read(line(**fields))[0].scorable


def test_versions_have_colons_from_the_right(read):
    assert read(line(asked=[{"model": "a:b:1", "propensity": 1}]))[0].propensities == {ModelVersion("a:b", "1"): 1.0}


def test_more_fields_and_blank_lines_are_fine(read):
    assert [each.line for each in read(line(new="field"), "\n", line(2))] == [1, 3]


@pytest.mark.parametrize("value", [0, -0.5, 1.5, 1e300])
def test_propensities_out_of_range(read, value):
    with pytest.raises(BadRequest, match=r"^Line 2: the propensity of a:1 is .* above 0, and 1 at most$"):
        read(line(), line(2, asked=[{"model": "a:1", "propensity": value}]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_no_propensity(read, value):
    with pytest.raises(BadRequest, match=r"^Line 2 is not JSON: it holds NaN or Infinity, which JSON does not have$"):
        read(line(), line(2, asked=[{"model": "a:1", "propensity": value}]))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("position,query_id\n", "Line 2 is not JSON: JSON is malformed: invalid character"),
        ('{"position": 2,\n', "Line 2 is not JSON: Input data was truncated"),
        ("[1]\n", "Line 2 is not a line of a feedback log: Expected `object`, got `array`"),
        ("{}\n", "Line 2 is not a line of a feedback log: Object missing required field `position`"),
    ],
)
def test_what_is_no_line(read, text, cause):
    with pytest.raises(BadRequest) as raised:
        read(line(), text)
    assert raised.value.cause.startswith(cause)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"linked": "a"}, "Line 2 is not a line of a feedback log: Expected `array`, got `str` - at `$.linked`"),
        ({"asked": [{"model": "a:1"}]}, "required field `propensity` - at `$.asked[0]`"),
        ({"asked": [{"model": "a", "propensity": 1}]}, "Line 2: 'a' is not a model's name:version"),
        ({"outputs": {"": 1}}, "Line 2: '' is not a model's name:version"),
        ({"losses": {"a:1": 1.5}}, "Line 2: the loss of a:1 is 1.5; losses are from 0 to 1"),
        ({"loss": -1}, "Line 2: the loss of the answer is -1.0; losses are from 0 to 1"),
        ({"position": 1}, "Line 2 is out of order: its position, 1, is not beyond that of the line before, 1"),
        ({"app": "other"}, "Line 2 is of the application other, those before of digits: export one"),
    ],
)
def test_wrong_fields(read, fields, cause):
    with pytest.raises(BadRequest) as raised:
        read(line(), {**line(2), **fields})
    assert cause in raised.value.cause


@pytest.mark.parametrize("lines", [[], ["\n", " \n"]])
def test_an_empty_log(read, lines):
    with pytest.raises(BadRequest, match=r"holds no feedback: nothing was exported"):
        read(*lines)


def test_no_file(tmp_path):
    with pytest.raises(BadRequest, match=r"missing can't be read: No such file or directory$"):
        list(log.read(str(tmp_path / "missing")))
    with pytest.raises(BadRequest, match=r"can't be read: Is a directory$"):
        list(log.read(str(tmp_path)))


def test_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(json.dumps(line()).encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert [each.line for each in log.read("-")] == [1]


def parquet_rows(lines):
    nested = ("linked", "asked", "shadows", "outputs", "answer", "label", "losses")
    return [{name: json.dumps(each) if name in nested else each for name, each in row.items()} for row in lines]


def test_parquet(tmp_path, read):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = [line(input="AAA="), line(2, label=None, answer=None, default=True, loss=None)]
    parquet.write_table(pyarrow.Table.from_pylist(parquet_rows(lines)), tmp_path / "log")
    assert list(log.read(str(tmp_path / "log"))) == read(*lines)


def test_broken_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "log").write_bytes(b"PAR1 but no more")
    with pytest.raises(BadRequest, match=r"^The Parquet file can't be read: "):
        list(log.read(str(tmp_path / "log")))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "log").write_bytes(b"PAR1....")
    with pytest.raises(BadRequest, match=r"takes pyarrow, which is not installed: `pip install pyarrow`, or export"):
        list(log.read(str(tmp_path / "log")))


def test_rows_of_other_writers(tmp_path, read, monkeypatch):
    """Columns that are not JSON texts but lists and numbers already, and nothing where there is nothing."""
    row = {**line(), "label": 7, "user": None, "answer": b"7"}

    class Batch:
        def to_pylist(self):
            return [row]

    class Module:
        class ParquetFile:
            def __init__(self, file):
                pass

            def iter_batches(self):
                return [Batch()]

    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", Module)
    (tmp_path / "log").write_bytes(b"PAR1....")
    assert list(log.read(str(tmp_path / "log"))) == read(line())


def test_what_the_frontend_exports_can_be_read(tmp_path):
    asked, outputs = ((ModelVersion("a", "1"), 0.25),), {"a:1": b'{"x":\n1}', "mlp:2": b"2"}
    decision = DecisionRecord(17, "digits", "u", 1.0, 3, ("a", "b"), asked, (MLP,), outputs, None, 0.5, 0.3, b"\0")
    feedback = Feedback(decision, 2.0, b"7", {"a:1": 1.0, "mlp:2": 1.0}, None)
    (tmp_path / "log").write_bytes(feedback_line(JournalEntry(5, feedback), "bytes"))
    entry = next(log.read(str(tmp_path / "log")))
    assert (entry.models, entry.propensities) == ((A, B), {A: 0.25, MLP: 1.0})
    assert (entry.outputs, entry.answer, entry.label) == ({A: b'{"x": 1}', MLP: b"2"}, None, b"7")
    assert (entry.input, entry.input_type, entry.user, entry.loss) == ("AA==", "bytes", "u", None)


def test_exported_parquet(tmp_path, read):
    pytest.importorskip("pyarrow")
    lines = [line(input="AAA=", shadows=["mlp:2"]), line(2, label=None, answer=None, default=True, loss=None)]
    page = "".join(json.dumps(each) + "\n" for each in lines).encode()
    write_feedback(tmp_path / "log.parquet", [page])
    assert list(log.read(str(tmp_path / "log.parquet"))) == read(*lines)
