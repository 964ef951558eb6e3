import os
from pathlib import Path

from clipper_admin.managers import logs


def test_the_tail_is_the_last_lines(folder):
    folder.log("p").write_text("".join(f"line {n}\n" for n in range(100)))
    assert logs.tail(folder.log("p")).splitlines() == [f"line {n}" for n in range(70, 100)]
    assert logs.tail(folder.log("p"), 2) == "line 98\nline 99"


def test_the_tail_begins_with_the_last_traceback(folder):
    frames = [f"  frame {n}" for n in range(60)]
    text = [
        "old",
        "Traceback (most recent call last):",
        "  x",
        "Traceback (most recent call last):",
        *frames,
        "Error",
    ]
    folder.log("p").write_text("\n".join(text))
    assert logs.tail(folder.log("p")).splitlines() == text[3:]


def test_the_traceback_of_an_event_is_found_too(folder):
    lines = (
        ["old"] * 9
        + ["12:00 ERROR container: Can't load:", "    Traceback (most recent call last):"]
        + ["    x"] * 50
    )
    folder.log("p").write_text("\n".join(lines))
    assert logs.tail(folder.log("p")).splitlines() == lines[10:]


def test_a_traceback_far_back_is_not_the_tail(folder):
    folder.log("p").write_text("Traceback (most recent call last):\n" + "x\n" * 200)
    assert logs.tail(folder.log("p")).splitlines() == ["x"] * 30


def test_a_huge_log_is_read_from_its_end(folder):
    folder.log("p").write_bytes(b"\xff" * 10_000_000 + b"\nlast")
    assert logs.tail(folder.log("p")).endswith("last")
    assert len(logs.tail(folder.log("p"))) < 100_000


def test_no_log_is_no_text(folder):
    assert logs.tail(folder.log("nobody")) == ""


def test_how_a_program_ended(folder):
    (folder.logs / "supervisord.log").write_text(
        "INFO exited: m_1-1 (exit status 1; not expected)\n"
        "INFO exited: m_1-10 (exit status 0; expected)\n"
        "INFO exited: m_1-2 (terminated by SIGKILL; not expected)\n"
    )
    assert logs.how_it_ended(folder, "m_1-1") == "exit status 1"
    assert logs.how_it_ended(folder, "m_1-10") == "exit status 0"
    assert logs.how_it_ended(folder, "m_1-2") == "terminated by SIGKILL"
    assert logs.how_it_ended(folder, "m_1-3") == ""


def test_logs_are_copied_with_those_rotated_away(folder, tmp_path):
    folder.log("p").write_text("new")
    (folder.logs / "p.log.1").write_text("old")
    target = tmp_path / "deep" / "logs"
    written = logs.copy_logs(folder, "test", target)
    assert written == [str(target / "test_p.log"), str(target / "test_p.log.1")]
    assert [Path(each).read_text() for each in written] == ["new", "old"]


def test_pruning_keeps_live_logs_and_the_latest_others(folder):
    folder.log("live").write_text("")
    folder.log("supervisord").write_text("")
    for number in range(logs.KEPT_LOGS + 5):
        folder.log(f"gone-{number}").write_text("")
        (folder.logs / f"gone-{number}.log.1").write_text("")
        os.utime(folder.log(f"gone-{number}"), (number, number))
    os.utime(folder.log("live"), (0, 0))
    logs.prune_logs(folder, ["live"])
    left = {each.name for each in folder.logs.iterdir()}
    kept = {f"gone-{number}.log{suffix}" for number in range(5, logs.KEPT_LOGS + 5) for suffix in ("", ".1")}
    assert left == kept | {"live.log", "supervisord.log"}
