"""What a model may do to the process it runs in: fork it, or read its input."""

import pytest


@pytest.mark.parametrize(
    ("ending", "status"),
    [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('enough')", 1), ("raise ValueError('lost')", 1)],
)
def test_forked_child_that_comes_back_ends_and_leaves_the_answer_to_its_parent(serve, ending, status):
    def function(xs):
        import atexit
        import os

        child = os.fork()
        if not child:
            atexit.register(print, "at exit")
            exec("import sys; " + ending)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])] if child else ["the child's"]

    container, peer = serve(function)

    assert peer.ask(b"") == [(True, b"%d" % status)]
    assert peer.ask(b"") == [(True, b"%d" % status)]
    assert "at exit" not in container.log()
    assert (
        container.log().count("forked raised") == container.log().count("ValueError: lost") == 2 * ("lost" in ending)
    )


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        ("input()", (False, b"EOFError: EOF when reading a line")),
        ("breakpoint()", (False, b"BdbQuit")),
        ("open(0).read()", (True, b'"ok"')),
    ],
)
def test_model_that_reads_its_input_meets_the_end_of_it(serve, read, outcome):
    def function(xs):
        exec(read)
        return ["ok"] * len(xs)

    _, peer = serve(function)

    assert peer.ask(b"") == [outcome]
