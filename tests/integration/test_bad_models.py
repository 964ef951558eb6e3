"""Models that fail: at import the deploy says so in time, at work only the queries concerned get a default."""

import threading
import time

import pytest

from clipper_admin import ClipperConnection, ClipperException, LocalContainerManager
from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import AtImport, adding
from tests.integration.rest import ask, ask_batch, metrics, outputs

pytestmark = pytest.mark.cluster

TOO_MUCH = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
eaten = []
while True:
    eaten.append(bytearray(64 << 20))
"""

AT_IMPORT = {
    "raises": ("raise ValueError('no such weights')", ["ValueError: no such weights", "deploy it again"]),
    "exits": ("import sys; sys.exit(4)", ["SystemExit: 4", "deploy it again"]),
    "vanishes": ("import os; print('last words', flush=True); os._exit(7)", ["exit status 7", "last words"]),
    "is killed": ("import os; os.kill(os.getpid(), 9)", ["SIGKILL", "perhaps because memory ran out"]),
    "crashes": ("import ctypes; ctypes.string_at(0)", ["SIGSEGV", "Segmentation fault"]),
    "lacks a package": ("import not_installed.here", ["'not_installed'", "pkgs_to_install"]),
    "eats memory": (TOO_MUCH, ["MemoryError", "deploy it again"]),
}


@pytest.fixture(scope="module")
def good(clipper):
    """An application that must go on being answered whatever the bad models do."""
    clipper.register_application("good", "doubles", "DEFAULT", 10_000_000)
    deploy_python_closure(clipper, "good", 1, "doubles", adding())
    clipper.link_model_to_app("good", "good")
    eventually(lambda: not ask(clipper.get_query_addr(), "good", [0.0])["default"])
    return "good"


@pytest.mark.parametrize("what", AT_IMPORT)
def test_a_model_that_fails_at_import(clipper, good, unique, query_addr, what):
    code, expected = AT_IMPORT[what]
    running, began = clipper.cm.programs(), time.monotonic()
    with pytest.raises(ClipperException) as caught:
        deploy_python_closure(clipper, unique, 1, "doubles", AtImport(code), num_replicas=2)
    assert time.monotonic() - began < 20
    for words in (f"Model {unique}:1 failed to start", *expected):
        assert words in str(caught.value)
    assert clipper.cm.programs() == running
    assert clipper.get_model_info(unique, 1) is None
    assert outputs([ask(query_addr, good, [1.0, 2.0])]) == [3]


def test_a_model_that_hangs_at_import(clipper, good, unique, query_addr):
    manager = LocalContainerManager("c", home=clipper.cm.home, deploy_timeout=1.5)
    impatient = ClipperConnection(manager)
    impatient.connect()
    code = "def waiting_for_godot():\n    import time\n    time.sleep(1000)\nwaiting_for_godot()"
    with pytest.raises(ClipperException) as caught:
        deploy_python_closure(impatient, unique, 1, "doubles", AtImport(code))
    impatient.close()
    for words in ("was not ready after 1.5 s", "in waiting_for_godot", "deploy_timeout"):
        assert words in str(caught.value)
    assert clipper.get_model_info(unique, 1) is None
    assert clipper.get_num_replicas(unique, 1) == 0
    assert outputs([ask(query_addr, good, [1.0, 2.0])]) == [3]


def test_a_bad_new_version_leaves_the_old_one(clipper, serve, query_addr):
    name = serve(adding())
    with pytest.raises(ClipperException, match="no such weights"):
        deploy_python_closure(clipper, name, 2, "doubles", AtImport("raise ValueError('no such weights')"))
    assert clipper.get_current_model_version(name) == "1"
    assert outputs([ask(query_addr, name, [1.0, 2.0])]) == [3]
    deploy_python_closure(clipper, name, 2, "doubles", adding(2.0))  # once corrected, the same version is free
    assert eventually(lambda: ask(query_addr, name, [1.0, 2.5])["output"] == 7)


def misbehaving():
    """Does what its first input asks for."""

    def misbehave(xs):
        import sys

        deed = xs[0]
        deeds = {
            "too few": [],
            "too many": ["1"] * (len(xs) + 1),
            "no list": 3,
            "a string": "abc",
            "none": None,
            "a none": [None],
            "nan": [float("nan")],
            "infinity": [float("inf")],
            "an object": [object()],
            "a set": [{1}],
            "not a string": [7.5],
            "a dict": [{"a": [1, None]}],
            "half a pair": ["\ud800"],
        }
        if deed == "raise":
            raise ValueError("I can't stand this one")
        if deed == "exit":
            sys.exit(3)
        if deed == "recurse":
            return misbehave(xs)
        return deeds.get(deed, list(xs))

    return misbehave


MISDEEDS = [
    ("too few", "Expected model to return 1 outputs, found 0 outputs"),
    ("too many", "Expected model to return 1 outputs, found 2 outputs"),
    ("no list", "Model did not return a list"),
    ("a string", "Model did not return a list"),
    ("none", "Model did not return a list"),
    ("a none", "returned None for this query"),
    ("nan", "nan, which JSON can't hold"),
    ("infinity", "inf, which JSON can't hold"),
    ("an object", "object"),
    ("a set", "set"),
    ("raise", "ValueError: I can't stand this one"),
    ("exit", "SystemExit: 3"),
    ("recurse", "RecursionError"),
]


def test_what_a_model_does_wrong_fails_its_query_alone(clipper, serve, query_addr):
    name = serve(misbehaving(), input_type="strings", default="DEFAULT")
    pids = {each.program: each.pid for each in clipper.cm.process_table()}
    for deed, named in MISDEEDS:
        answer = ask(query_addr, name, deed)
        assert (answer["output"], answer["default"], answer["default_reason"]) == ("DEFAULT", True, "model_error")
        assert named in answer["default_explanation"], deed
        assert outputs([ask(query_addr, name, f"well after {deed}")]) == [f"well after {deed}"]
    assert {each.program: each.pid for each in clipper.cm.process_table()} == pids
    assert metrics(query_addr)("clipper_model_errors_total", model=name, version="1") == len(MISDEEDS)
    log = clipper.cm.log_path(f"{name}_1-0").read_text()
    assert "ValueError: I can't stand this one" in log


def saying_in_its_error(text):
    def fail(xs):
        raise ValueError(text)

    return fail


def test_what_a_model_says_can_not_pass_for_an_event(clipper, serve, query_addr):
    forged = f"2026-11-28 15:00:00,000 ERROR   clipper.frontend.server: forged {time.monotonic_ns()}"
    name = serve(saying_in_its_error(f"x\n{forged}"))
    assert ask(query_addr, name, [1.0])["default_explanation"] == f"ValueError: x\n{forged}"
    for program in ("query-frontend-0", f"{name}_1-0"):
        lines = clipper.cm.log_path(program).read_text().splitlines()
        assert f"    {forged}" in lines, program
        assert forged not in lines, program


def test_outputs_that_are_no_strings_are_sent_as_json(serve, query_addr):
    name = serve(misbehaving(), input_type="strings")
    assert ask(query_addr, name, "not a string")["output"] == 7.5
    assert ask(query_addr, name, "a dict")["output"] == {"a": [1, None]}
    assert not ask(query_addr, name, "half a pair")["default"]


def raising_on(bad):
    def scale(xs):
        if any(x[0] == bad for x in xs):
            raise ValueError(f"{bad} is beyond me")
        return [str(x[0] * 2) for x in xs]

    return scale


def test_the_neighbours_of_a_bad_input_are_answered(serve, query_addr):
    name = serve(raising_on(13.0), batch_size=50)
    answers = ask_batch(query_addr, name, [[float(each)] for each in range(50)])
    failed = answers.pop(13)
    assert (failed["output"], failed["default_reason"]) == (-1.0, "model_error")
    assert failed["default_explanation"] == "ValueError: 13.0 is beyond me"
    assert outputs(answers) == [each * 2.0 for each in range(50) if each != 13]


def dying_of(poison, how):
    def scale(xs):
        if any(x[0] == poison for x in xs):
            exec(f"import os; {how}")
        return [str(x[0] * 2) for x in xs]

    return scale


def test_a_query_that_kills_its_container_harms_no_other(clipper, serve, query_addr):
    name = serve(dying_of(-1.0, "os.kill(os.getpid(), 9)"), num_replicas=4)
    assert eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 4)
    answered = []
    thread = threading.Thread(target=lambda: answered.append(ask(query_addr, name, [-1.0])))
    thread.start()
    for number in range(100):
        assert outputs([ask(query_addr, name, [float(number)])]) == [2.0 * number]
    thread.join(20)
    (poisoned,) = answered
    assert (poisoned["output"], poisoned["default_reason"]) == (-1.0, "model_error")
    assert "3 containers" in poisoned["default_explanation"]
    assert eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 4)


def test_the_batch_of_a_query_that_kills_its_container_is_answered(clipper, serve, query_addr):
    name = serve(dying_of(-1.0, "os._exit(1)"), num_replicas=4, batch_size=10)
    assert eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 4)
    answers = ask_batch(query_addr, name, [[-1.0 if each == 4 else float(each)] for each in range(10)])
    poisoned = answers.pop(4)
    assert (poisoned["output"], poisoned["default_reason"]) == (-1.0, "model_error")
    assert outputs(answers) == [each * 2.0 for each in range(10) if each != 4]
