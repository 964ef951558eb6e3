"""Functions that can't be deployed, and what is said about them."""

import functools
import sqlite3
import threading
import types

import pytest

from clipper_admin.deployers.closure import check_function, save_function
from clipper_admin.exceptions import ClipperException

LOCK = threading.Lock()


def uses_global_lock():
    def predict(xs):
        return [LOCK.locked() for _ in xs]

    return predict


def test_what_can_not_be_pickled_is_named(tmp_path):
    database = sqlite3.connect(":memory:")
    lines = (line for line in ["a"])
    holder = types.SimpleNamespace(inner={"lock": threading.Lock()})
    with (tmp_path / "log").open("w") as log:
        for func, culprit in [
            (lambda xs: database.execute("select 1"), r"the variable 'database' \(a sqlite3.Connection\)"),
            (lambda xs: next(lines), r"the variable 'lines' \(a builtins.generator\)"),
            (lambda xs: log.write("x"), r"the variable 'log' \(a _io.TextIOWrapper\)"),
            (lambda xs: holder, r"item 'lock' of attribute 'inner' of the variable 'holder' \(a _thread.lock\)"),
            (functools.partial(lambda lock, xs: xs, threading.Lock()), "argument 0 of the partial"),
            (uses_global_lock(), r"the variable 'LOCK' \(a _thread.lock\)"),
        ]:
            with pytest.raises(
                ClipperException, match=f"can't be pickled: .*{culprit}.*create it inside the function"
            ):
                save_function(func, tmp_path)
    database.close()


def test_a_method_of_an_object_that_can_not_be_pickled(tmp_path):
    class Model:
        def __init__(self):
            self.thread = threading.current_thread()

        def predict(self, xs):
            return xs

    with pytest.raises(ClipperException, match="attribute 'thread' of the object of the method"):
        save_function(Model().predict, tmp_path)


def generator(xs):
    yield from xs


async def coroutine(xs):
    return xs


@pytest.mark.parametrize(
    ("func", "error"),
    [
        (3, "must be callable, not 3 of type int"),
        (generator, "generator is a generator: return a list"),
        (coroutine, "coroutine is a coroutine function: write it with def"),
        (functools.partial(generator), "is a generator: return a list"),
        (lambda: [], r"<lambda>\(\) can't be called with one argument"),
        (lambda a, b: [], "can't be called with one argument, the list of inputs: missing a required argument: 'b'"),
    ],
)
def test_what_could_never_answer_is_refused(func, error):
    with pytest.raises(ClipperException, match=error):
        check_function(func)


@pytest.mark.parametrize("func", [len, sum, str, lambda xs, scale=2: xs, "".join, functools.partial(max, 1)])
def test_what_could_answer_is_not(func):
    check_function(func)
