"""docs/rest.md: its examples are sent, in their order, to the cluster of the quickstart."""

import json
import re

import pytest
import requests

from clipper.frontend.codec import MAX_BATCH
from clipper.frontend.limits import Limits
from clipper.frontend.pieces import LONGEST_NAME
from clipper.frontend.predict import LONG_BATCH, LONG_BODY, LONG_TEXT
from clipper.frontend.slices import LONGEST_TOKEN, MOST_MEMBERS
from clipper.lane import EXPLANATIONS
from clipper.management.checks import (
    BATCHING,
    LOSSES,
    MAX_DEFAULT_OUTPUT,
    MAX_DELAY_MICROS,
    MAX_NAME,
    MAX_SLO_MICROS,
    RESERVED_NAMES,
)
from clipper.management.frontend import create_app
from clipper.rpc.wire import InputType, parse_input_type
from clipper.selection.policies import POLICY_NAMES
from clipper.store.sqlite import SqliteStore
from clipper.store.sqlite_journal import SqliteJournal
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer
from tests.documents import Reader, blocks, read, section

PAGE = read("docs/rest.md")


@pytest.fixture
def cluster(tmp_path):
    """The quickstart, on free ports; an address for each path."""

    def feature_sum(xs):
        return [str(sum(x)) for x in xs]

    feature_sum.__module__ = "__main__"  # by value, as in a session
    clipper_conn = ClipperConnection(LocalContainerManager("default-cluster", 0, 0, 0, home=tmp_path))
    clipper_conn.start_clipper()
    try:
        clipper_conn.register_application("hello-world", "doubles", "-1.0", 100_000)
        python_deployer.deploy_python_closure(clipper_conn, "sum-model", 1, "doubles", feature_sum)
        clipper_conn.link_model_to_app("hello-world", "sum-model")
        query, admin = clipper_conn.get_query_addr(), clipper_conn.cm.get_admin_addr()
        yield lambda path: admin if path.startswith("/admin/") else query
    finally:
        clipper_conn.stop_all(graceful=False)


def examples():
    for block in blocks(PAGE):
        if block.language != "http":
            continue
        for example in block.text.strip().split("\n\n"):
            asked, answered = example.split("\n")
            yield asked, answered


@pytest.mark.cluster
def test_the_examples_are_answered_as_shown(cluster):
    with requests.Session() as session:
        session.trust_env = False
        for asked, answered in examples():
            method, path, *body = asked.split(" ", 2)
            headers = {"Content-Type": "application/json"}
            url = f"http://{cluster(path)}{path}"
            response = session.request(method, url, data="".join(body).encode(), headers=headers, timeout=30)
            assert comparable(f"{response.status_code} {response.text}") == comparable(answered), asked


@pytest.mark.cluster
def test_binary_bodies_are_answered_as_shown(cluster, tmp_path):
    shell, python = blocks(section(PAGE, "Binary bodies"))
    reader = Reader(tmp_path)

    def here(text):
        return text.replace("127.0.0.1:1337", cluster("/hello-world/predict"))

    shown = re.search(r"answered with `(.*?)`", section(PAGE, "Binary bodies"))
    assert comparable(f"200 {reader.shell(here(shell.text))}") == comparable(f"200 {shown[1]}")
    reader.python(here(python.text))


def comparable(answer):
    """A status and a body, without query ids."""
    status, _, body = answer.partition(" ")
    body = re.sub(r'"query_id":\d+', '"query_id":0', body)
    body = re.sub(r'("metrics_address":"127.0.0.1):\d+', r"\1:0", body)
    try:
        return int(status), json.loads(body)
    except ValueError:
        return int(status), body


def rows(title):
    """The cells of the table rows below a heading."""
    lines = [line for line in section(PAGE, title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_endpoint_and_field_of_admin_is_listed(tmp_path):
    store = SqliteStore(tmp_path / "clipper.db")
    journal = SqliteJournal(tmp_path / "clipper.db.journal")
    schema = create_app(store, journal).openapi()
    store.close()
    journal.close()
    listed = {row[0].strip("`"): row[1] for row in rows("Management")}
    fields = {}
    for path, methods in schema["paths"].items():
        if path.startswith("/admin/"):
            (operation,) = methods.values()
            fields[path.removeprefix("/admin/")] = fields_of(schema, operation)
    assert listed == fields


def fields_of(schema, operation):
    if "requestBody" not in operation:
        return ""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    body = schema["components"]["schemas"][name]
    return ", ".join(f"`{each}`" + ("" if each in body["required"] else "?") for each in body["properties"])


def test_input_types_and_their_aliases():
    table = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows("Predict") if len(row) == 4}
    assert table.keys() == {kind.value for kind in InputType}
    for name, aliases in table.items():
        assert {parse_input_type(alias).value for alias in aliases} == {name}


def test_sentences_of_default_outputs():
    table = {row[0].strip("`"): row[1].strip("`") for row in rows("Predict") if len(row) == 2}
    assert {reason: table[reason] for reason in EXPLANATIONS} == EXPLANATIONS


def test_limits():
    text = " ".join(PAGE.split())
    assert f"{Limits().body_bytes >> 20} MiB by default" in text
    assert f"headers are over {Limits().header_bytes >> 10} KiB" in text
    assert f"at most {MAX_NAME} characters" in text
    assert f"bodies over {LONG_BODY >> 10} KiB (those with one string: {LONG_TEXT >> 10} KiB)" in text
    assert f"and batches over {LONG_BATCH >> 10} KiB" in text
    assert f"of more than {LONGEST_TOKEN >> 10} KiB are refused" in text
    assert LONGEST_NAME == LONGEST_TOKEN
    assert f"more than {MOST_MEMBERS} members" in text
    assert text.count(f"at most {MAX_BATCH:,}") == 2
    assert f"`default_output` has at most {MAX_DEFAULT_OUTPUT >> 20} MiB" in text
    assert f"from 1 to {MAX_SLO_MICROS:,}" in text
    assert f"0 (not at all) to {MAX_DELAY_MICROS:,}" in text
    for name in (*RESERVED_NAMES, *LOSSES, *BATCHING, *POLICY_NAMES):
        assert f"`{name}`" in text
