"""The lines of exported feedback: the fields that docs/rest.md tells."""

import json

import pytest

from clipper.management.feedback_lines import feedback_line
from clipper.store.journal import Entry, Feedback
from clipper.types import ModelVersion
from tests.clipper.management.feedback import decision, feedback


def test_a_line():
    decided = decision(
        17,
        "digits",
        "größe",
        3,
        ("svm", "forest"),
        ("mlp",),
        asked=((ModelVersion("svm", "1"), 0.5),),
        outputs={"svm:1": b'{"a": [1.50]}', "mlp:1": b'"7"'},
        answer=b'{"a": [1.50]}',
        confidence=0.75,
    )
    line = feedback_line(Entry(1, Feedback(decided, 2.0, b"8", {"svm:1": 1.0, "mlp:1": 0.0}, 1.0)), "doubles")
    assert line.decode() == (
        '{"position":1,"query_id":17,"app":"digits","user":"größe","decided_at":1.0,"at":2.0,"epoch":3,'
        '"linked":["svm","forest"],"asked":[{"model":"svm:1","propensity":0.5}],"shadows":["mlp:1"],'
        '"outputs":{"svm:1":{"a": [1.50]},"mlp:1":"7"},"answer":{"a": [1.50]},"default":false,"confidence":0.75,'
        '"draw":0.25,"label":8,"losses":{"svm:1":1.0,"mlp:1":0.0},"loss":1.0,"input_type":"doubles"}\n'
    )


def test_what_is_not_there_is_null():
    given = feedback(label=None, loss=None, answer=None, outputs={})
    line = json.loads(feedback_line(Entry(2, given), "strings"))
    told = {each: line[each] for each in ("answer", "default", "label", "loss", "outputs")}
    assert told == {"answer": None, "default": True, "label": None, "loss": None, "outputs": {}}
    assert "input" not in line


def test_an_input_that_was_kept():
    line = json.loads(feedback_line(Entry(2, feedback(data=b"\x00\xff")), "bytes"))
    assert line["input"] == "AP8="


@pytest.mark.parametrize("output", [b'{\n  "a":\r\n  "b\\nc"\n}', b"[1,\n2]", b'"\xe2\x80\xa8"'])
def test_outputs_of_several_lines_are_put_on_one(output):
    line = feedback_line(Entry(1, feedback(answer=output, outputs={"a:1": output}, label=output)), "doubles")
    assert line.count(b"\n") == 1
    assert line.count(b"\r") == 0
    told = json.loads(line)
    assert told["answer"] == told["label"] == told["outputs"]["a:1"] == json.loads(output)
